"""A sub pool's process: python3 -m xoscar.pool [--module NAME]...

A broker starts it and says by environment variables what it is to be (pool/pool.h); XOSCAR_POOL
holds what the Python side adds, as _xo.encode writes it, in hexadecimal. With XO_SPARE the broker
says its part later (_spare).
"""
import gc
import os
import signal
import sys

_STOP_MS = 60000  # for __pre_destroy__ of all actors; the broker kills much sooner


def _set_path(path):
    own = [entry for entry in sys.path if entry] if path["own"] else []
    sys.path[:] = dict.fromkeys(path["first"] + own + path["last"])


def _take_conf():
    """The settings of xoscar.backends._sub_process.sub_pool_env; makes importable what is
    importable there."""
    text = os.environ.pop("XOSCAR_POOL", None)
    if text is None:
        return {}
    import _xo

    conf = _xo.decode(bytes.fromhex(text), [])
    os.environ.pop("PYTHONPATH", None)
    if conf.get("pythonpath"):
        os.environ["PYTHONPATH"] = conf["pythonpath"]
    _set_path(conf["path"])
    if conf["cwd"]:
        os.chdir(conf["cwd"])
    return conf


def _set_logging(conf):
    settings = conf.get("logging_conf")
    if not settings:
        return
    import logging
    import logging.config

    if "dict" in settings:
        logging.config.dictConfig(settings["dict"])
    if "file" in settings:
        logging.config.fileConfig(settings["file"], disable_existing_loggers=False)
    basic = {key: settings[key] for key in ("level", "format") if key in settings}
    if basic:
        logging.basicConfig(**basic)


def _modules(conf, argv):
    names = list(conf.get("modules") or ())
    while argv:
        if argv[0] != "--module" or len(argv) < 2:
            sys.exit(f"usage: python3 -m xoscar.pool [--module NAME]...\nnot understood: {argv[0]}")
        names.append(argv[1])
        argv = argv[2:]
    return names


def _import_all(names):
    import importlib

    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as e:
            text = f"cannot import {name}, one of the pool's modules: {type(e).__name__}: {e}"
            raise ImportError(text, name=name) from e


def _find_uvloop(choice):
    try:
        import uvloop
    except ImportError as e:
        if choice is True:
            text = "use_uvloop=True needs uvloop, which is not installed"
            raise ImportError(text, name="uvloop") from e
        return None
    return uvloop


def _new_loop(conf):
    choice = conf.get("use_uvloop")
    uvloop = _find_uvloop(choice) if choice else None
    if uvloop is not None:
        return uvloop.new_event_loop()
    from ._lean import import_asyncio

    return import_asyncio().new_event_loop()


def _watch_signals(loop, conf, end):
    loop.add_signal_handler(signal.SIGTERM, end)
    if conf.get("suspend_sigint"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    else:
        loop.add_signal_handler(signal.SIGINT, end)
    os.register_at_fork(after_in_child=_restore_signals)


def _restore_signals():
    """In the child of a fork: signals end it, as they would have before there was a loop."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


async def _serve(conf, modules):
    import asyncio

    import _xo

    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def end():
        if not ended.done():
            ended.set_result(None)

    pool = _xo.Pool(end, from_env=True)
    _watch_signals(loop, conf, end)
    _import_all(modules)
    gc.freeze()  # what was imported stays
    gc.enable()
    await pool.join()
    await ended
    await pool.stop(_STOP_MS)
    pool.close()


def _report(path, exception):
    """Tells who started the pool why it ends; what happens later tells the log."""
    from .backends._report import write_report

    try:
        write_report(path, exception)
    except OSError as e:
        print(f"xoscar.pool: {path}: {e}", file=sys.stderr)


def _run(conf, modules):
    loop = _new_loop(conf)
    if os.environ.pop("XO_SPARE", None):
        from . import _spare

        _spare.wait()
    _set_logging(conf)
    try:
        loop.run_until_complete(_serve(conf, modules))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _say_why(exception):
    """For the reason that the broker gives: why the process ends, should it not be ready yet."""
    path = os.environ.get("XO_POOL_WHY")
    if not path:
        return
    import traceback

    text = "".join(traceback.format_exception_only(type(exception), exception))
    try:
        with open(path, "wb") as file:
            file.write(text.encode(errors="backslashreplace"))
    except OSError:
        pass  # no room: standard error has it


def main(argv):
    gc.disable()  # a twentieth of the start
    try:
        conf = _take_conf()
        _run(conf, _modules(conf, argv))
    except BaseException as e:
        _say_why(e)
        report = os.environ.get("XO_POOL_REPORT")
        if isinstance(e, Exception) and report and os.environ["XO_POOL_GENERATION"] == "1":
            _report(report, e)
            sys.exit(1)
        if isinstance(e, OSError):  # something was refused: no line of code is at fault
            sys.exit(f"xoscar.pool: {e}")
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
