%% actors.erl - what processes of Erlang/OTP cost on this machine: round trips and messages within one
%% node, and between two nodes, whose distribution goes over tcp; "one_core" are those of a node that
%% uses one core, as a pool does. Prints one JSON object (out.h).
%%
%% `erl -s actors main -extra NODE` measures; the other node runs `erl -s actors serve`.
-module(actors).
-export([main/0, serve/0]).

-define(ROUND_TRIPS, 50000).
-define(FAR_ROUND_TRIPS, 5000).
-define(ONE_WAY, 500000).
-define(FAR_ONE_WAY, 200000).
-define(PIPELINED, 200000).
-define(WINDOW, 64).
-define(PROCESSES, 100000).
-define(BULKS, 4).

serve() ->
    register(echo, self()),
    io:format("ready~n"),
    echo().

main() ->
    [Far] = [list_to_atom(A) || A <- init:get_plain_arguments()],
    pong = net_adm:ping(Far),
    Near = spawn(fun echo/0),
    io:format("{\"cpus\": ~b", [erlang:system_info(schedulers_online)]),
    near("erlang", Near),
    spawn_many(),
    latency("erlang_far_call_us", {echo, Far}, ?FAR_ROUND_TRIPS),
    number("erlang_far_calls_per_s", pipelined({echo, Far}, ?PIPELINED)),
    number("erlang_far_tells_per_s", one_way({echo, Far}, ?FAR_ONE_WAY)),
    bulk({echo, Far}),
    erlang:system_flag(schedulers_online, 1),
    near("erlang_one_core", Near),
    io:format("}~n"),
    {echo, Far} ! stop,
    halt(0).

near(Prefix, Near) ->
    latency(Prefix ++ "_call_us", Near, ?ROUND_TRIPS),
    number(Prefix ++ "_calls_per_s", pipelined(Near, ?PIPELINED)),
    number(Prefix ++ "_matched_calls_per_s", matched(Near, ?PIPELINED)),
    number(Prefix ++ "_tells_per_s", one_way(Near, ?ONE_WAY)).

%% What is measured: a message with a reference comes back, one without is counted.
echo() ->
    receive
        {From, Ref, {size, Data}} -> From ! {Ref, byte_size(Data)}, echo();
        {From, Ref, Value} -> From ! {Ref, Value}, echo();
        stop -> halt(0);
        _ -> echo()
    end.

call(To, Value) ->
    Ref = make_ref(),
    To ! {self(), Ref, Value},
    receive {Ref, Answer} -> Answer end.

number(Name, Value) -> io:format(",~n \"~s\": ~.3f", [Name, float(Value)]).

now_ns() -> erlang:monotonic_time(nanosecond).

rate(Count, Start) -> Count * 1.0e9 / (now_ns() - Start).

latency(Name, To, Count) ->
    [call(To, 1) || _ <- lists:seq(1, 1000)],
    io:format(",~n \"~s\": {\"buckets\": ~w}", [Name, buckets(times(To, Count, #{}))]).

times(_, 0, Counts) -> Counts;
times(To, Count, Counts) ->
    Start = now_ns(),
    call(To, 1),
    Index = bucket(now_ns() - Start),
    times(To, Count - 1, Counts#{Index => maps:get(Index, Counts, 0) + 1}).

buckets(Counts) -> [[Index, Count] || {Index, Count} <- lists:sort(maps:to_list(Counts))].

%% bench/hist.h: 128 buckets for each power of two.
bucket(Ns) -> bucket(Ns, 0).
bucket(Value, Shift) when Value < 256 -> Shift * 128 + Value;
bucket(Value, Shift) -> bucket(Value bsr 1, Shift + 1).

one_way(To, Count) ->
    Start = now_ns(),
    send(To, Count),
    call(To, 1),
    rate(Count, Start).

send(_, 0) -> ok;
send(To, Left) ->
    To ! {count, 1},
    send(To, Left - 1).

%% A window of calls under way, each with a reference of its own, as a call has.
pipelined(To, Count) ->
    Start = now_ns(),
    [To ! {self(), make_ref(), 1} || _ <- lists:seq(1, ?WINDOW)],
    pipelined_on(To, Count - ?WINDOW),
    [receive {Ref, _} when is_reference(Ref) -> ok end || _ <- lists:seq(1, ?WINDOW)],
    rate(Count, Start).

pipelined_on(_, 0) -> ok;
pipelined_on(To, Left) ->
    receive {Ref, _} when is_reference(Ref) -> ok end,
    To ! {self(), make_ref(), 1},
    pipelined_on(To, Left - 1).

%% The same, but each answer is waited for by its call's reference, as gen_server:call does.
matched(To, Count) ->
    Start = now_ns(),
    Calls = queue:from_list([begin_call(To) || _ <- lists:seq(1, ?WINDOW)]),
    matched_on(To, Count - ?WINDOW, Calls),
    rate(Count, Start).

begin_call(To) ->
    Ref = make_ref(),
    To ! {self(), Ref, 1},
    Ref.

matched_on(To, Left, Calls) ->
    case queue:out(Calls) of
        {empty, _} -> ok;
        {{value, Ref}, Others} ->
            receive {Ref, _} -> ok end,
            case Left of
                0 -> matched_on(To, 0, Others);
                _ -> matched_on(To, Left - 1, queue:in(begin_call(To), Others))
            end
    end.

spawn_many() ->
    Before = erlang:memory(processes),
    Start = now_ns(),
    All = [spawn(fun echo/0) || _ <- lists:seq(1, ?PROCESSES)],
    number("erlang_creations_per_s", rate(?PROCESSES, Start)),
    call(lists:last(All), 1),
    number("erlang_actor_bytes", (erlang:memory(processes) - Before) / ?PROCESSES),
    [exit(Pid, kill) || Pid <- All].

bulk(To) ->
    Data = binary:copy(<<1>>, 64 bsl 20),
    call(To, {size, Data}),
    Start = now_ns(),
    [call(To, {size, Data}) || _ <- lists:seq(1, ?BULKS)],
    number("erlang_far_64mib_gib_s", rate(?BULKS * 64 / 1024, Start)).
