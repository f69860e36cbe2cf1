%% erlang_bench.erl - what bench/pool.c measures, between the processes of one Erlang node:
%%
%%     erlc -o DIR bench/erlang_bench.erl && erl -noshell -pa DIR -s erlang_bench main
%%
%% Prints one JSON object: times in microseconds, rates in messages a second. A call is a message
%% with a reference and its answer, as gen_server:call has it, without that module's other costs;
%% 64 are under way at a time. One-way messages are counted until the last one has been handled.
%% `one_scheduler` are the figures of one core, as a pool has it.
-module(erlang_bench).
-export([main/0]).

-define(WARM_UP, 1000).
-define(ROUND_TRIPS, 20000).
-define(PIPELINED, 200000).
-define(WINDOW, 64).
-define(ONE_WAY, 1000000).

main() ->
    All = measure(),
    erlang:system_flag(schedulers_online, 1),
    One = measure(),
    io:format("{~n ~s,~n ~s}~n", [json("erlang", All), json("erlang_one_scheduler", One)]),
    halt(0).

json(Prefix, Figures) ->
    lists:join(",\n ", [io_lib:format("\"~s_~s\": ~.2f", [Prefix, Name, Value * 1.0])
                        || {Name, Value} <- Figures]).

measure() ->
    Echo = spawn_link(fun echo/0),
    _ = [round_trip(Echo) || _ <- lists:seq(1, ?WARM_UP)],
    Times = lists:sort([round_trip(Echo) || _ <- lists:seq(1, ?ROUND_TRIPS)]),
    Figures = [{"call_p50_us", lists:nth(?ROUND_TRIPS div 2, Times) / 1000},
               {"call_p99_us", lists:nth(?ROUND_TRIPS * 99 div 100, Times) / 1000},
               {"calls_per_s", rate(?PIPELINED, fun() -> pipelined(Echo) end)},
               {"tells_per_s", rate(?ONE_WAY, fun() -> one_way(Echo) end)}],
    unlink(Echo),
    exit(Echo, kill),
    Figures.

rate(Count, Fun) ->
    Start = erlang:monotonic_time(nanosecond),
    Fun(),
    Count * 1.0e9 / (erlang:monotonic_time(nanosecond) - Start).

echo() ->
    receive
        {call, From, Ref, Value} -> From ! {Ref, Value};
        {tell, _Value} -> ok
    end,
    echo().

call(Echo) ->
    Ref = make_ref(),
    Echo ! {call, self(), Ref, 1},
    Ref.

answer(Ref) ->
    receive {Ref, 1} -> ok end.

round_trip(Echo) ->
    Start = erlang:monotonic_time(nanosecond),
    answer(call(Echo)),
    erlang:monotonic_time(nanosecond) - Start.

pipelined(Echo) ->
    keep_going(Echo, [call(Echo) || _ <- lists:seq(1, ?WINDOW)], ?PIPELINED - ?WINDOW).

%% Whichever answer comes first makes room for the next call; each caller keeps its references in
%% the order of sending, which is that of the answers.
keep_going(_Echo, Refs, 0) ->
    lists:foreach(fun answer/1, Refs);
keep_going(Echo, Refs, Left) ->
    Count = min(Left, length(Refs)),
    lists:foreach(fun answer/1, Refs),
    keep_going(Echo, [call(Echo) || _ <- lists:seq(1, Count)], Left - Count).

one_way(Echo) ->
    send(Echo, ?ONE_WAY),
    answer(call(Echo)).

send(_Echo, 0) ->
    ok;
send(Echo, Left) ->
    Echo ! {tell, 1},
    send(Echo, Left - 1).
