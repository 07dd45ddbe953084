"""Takes from Python, in every process that starts with this folder in PYTHONPATH, what other systems lack.

CONVCLI_TEST_SYSTEM chooses the system. It cannot be imitated completely: paths, the console and Python's own
modules stay those of the system that the tests run on.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import types

_UNLIKE_LINUX = {
    os: "O_TMPFILE memfd_create sched_getaffinity sched_setaffinity posix_fadvise preadv pwritev "
    "copy_file_range",
    signal: "pidfd_send_signal",
}
_UNLIKE_POSIX = {
    os: "fork forkpty register_at_fork link symlink pread pwrite fchmod fchown sysconf sysconf_names statvfs "
    "O_NONBLOCK O_NOFOLLOW O_DIRECTORY O_CLOEXEC getpgid setsid killpg mkfifo "
    "getloadavg nice",
    signal: "SIGHUP SIGQUIT SIGKILL SIGALRM SIGPIPE SIGUSR1 SIGUSR2 SIGSTOP SIGCONT "
    "setitimer getitimer alarm pthread_sigmask pthread_kill sigwait SIG_BLOCK SIG_UNBLOCK SIG_SETMASK",
}
_MODULES = ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "readline", "syslog")
_HIDDEN = ("/proc", "/sys", "/dev/fd")


def _remove(names: dict[object, str]) -> None:
    for module, attributes in names.items():
        for name in attributes.split():
            if hasattr(module, name):
                delattr(module, name)


def _hide(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(_HIDDEN):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])


def _is_open(path: object) -> bool:
    """Whether this process has a file open, which Windows then neither renames nor removes."""
    try:
        wanted = os.lstat(path)
    except OSError:
        return False
    for handle in range(3, 64):
        try:
            status = os.fstat(handle)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def _refuse_open_files() -> None:
    rename, replace, unlink, open_ = os.rename, os.replace, os.unlink, os.open

    def check(*paths: object) -> None:
        if any(map(_is_open, paths)):
            raise PermissionError(errno.EACCES, "used by a process", paths[0])

    def new_rename(source, target):
        check(source)
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        rename(source, target)

    def new_replace(source, target):
        check(source, target)
        replace(source, target)

    def new_unlink(path, **options):
        if not options:
            check(path)
        unlink(path, **options)

    def new_open(path, *words, **options):
        if not options and os.path.isdir(path):  # noqa: PTH112
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return open_(path, *words, **options)

    os.rename, os.replace, os.unlink, os.remove, os.open = (
        new_rename,
        new_replace,
        new_unlink,
        new_unlink,
        new_open,
    )


_SYSTEM = os.environ.get("CONVCLI_TEST_SYSTEM", "")
if _SYSTEM:
    _remove(_UNLIKE_LINUX)
    sys.addaudithook(_hide)
if _SYSTEM == "windows":
    import subprocess  # Python's own POSIX parts need what is about to go  # noqa: F401
    import tempfile  # noqa: F401

    _remove(_UNLIKE_POSIX)
    sys.modules.update(dict.fromkeys(_MODULES))
    _refuse_open_files()
    from convcli.core import handles

    handles.IS_POSIX = False
if _SYSTEM == "macos":
    sys.platform = "darwin"
    proxies = types.ModuleType("_scproxy")  # which Python's own urllib imports there
    proxies._get_proxies = proxies._get_proxy_settings = dict
    sys.modules["_scproxy"] = proxies
