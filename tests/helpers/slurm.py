"""A Slurm of our own: one node, which is this machine, and two GPUs that are none; no systemd, cgroups or accounting."""

import ctypes
import os
import platform
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

MAX_ARRAY_SIZE = 4
_PR_SET_CHILD_SUBREAPER = 36  # Linux
_WAIT = 120.0

# The node may have more CPUs than the machine. Queued tasks are looked at each second, requeued ones after cred_expire,
# which takes no less.
_CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=2
MinJobAge=3600
MaxArraySize={max_array_size}
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
"""
# A GPU of Slurm's is a character device; its worker is told the number in CUDA_VISIBLE_DEVICES.
_GPUS = """\
NodeName=node Name=gpu File=/dev/null Flags=nvidia_gpu_env
NodeName=node Name=gpu File=/dev/zero Flags=nvidia_gpu_env
"""


@contextmanager
def cluster() -> Iterator[Path]:
    """Slurm, while this lasts; its folder, whose ``slurm.conf`` is to be named in SLURM_CONF."""
    # Short, for the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="slurm") as name, ExitStack() as opened, _nothing_left_running():
        folder = Path(name)
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        _configure(folder)

        def start(*command: str) -> None:
            log = opened.enter_context((folder / f"{command[0]}.log").open("w"))
            tied = ("setpriv", "--pdeathsig", "KILL", *command)  # it ends with the tests, even if these are killed
            opened.enter_context(subprocess.Popen(tied, env=environment, stdout=log, stderr=log, start_new_session=True))

        files = {"key-file": "key", "socket": "munge", "pid-file": "munged.pid", "seed-file": "seed", "log-file": "log"}
        start("munged", "--foreground", "--force", *(f"--{what}={folder / at}" for what, at in files.items()))
        wait_for((folder / "munge").exists)
        start("slurmctld", "-D", "-c")
        start("slurmd", "-D", "-N", "node")
        state = ("sinfo", "--noheader", "--format=%T")
        try:
            wait_for(lambda: subprocess.run(state, env=environment, check=False, capture_output=True).stdout == b"idle\n", 30)
        except AssertionError as error:
            raise AssertionError("\n".join(log.read_text() for log in folder.glob("*.log"))) from error
        yield folder


@contextmanager
def _nothing_left_running() -> Iterator[None]:
    """Kill what was started while this lasts, also what daemons have detached from themselves: it becomes a child of ours."""
    adopt = ctypes.CDLL(None, use_errno=True).prctl
    me = psutil.Process()
    before = me.children(recursive=True)
    adopt(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        while started := [process for process in me.children(recursive=True) if process not in before]:
            for process in started:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(started, timeout=1)
        adopt(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _configure(folder: Path) -> None:
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    host = platform.node().split(".")[0]
    text = _CONFIG.format(
        folder=folder, host=host, ports=ports, user=pwd.getpwuid(os.getuid()).pw_name, max_array_size=MAX_ARRAY_SIZE
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text(_GPUS)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # named, or else it looks for those that are mounted
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o400)


def tasks(job: str) -> list[dict[str, str]]:
    """What Slurm knows of the tasks of an array."""
    shown = _said("scontrol", "--oneliner", "--details", "show", "job", job)
    return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in shown.splitlines() if line]


def ended(job: str) -> list[dict[str, str]]:
    """The tasks of an array, once all are over."""
    wait_for(lambda: not {"PENDING", "RUNNING", "COMPLETING"} & {task["JobState"] for task in tasks(job)})
    return tasks(job)


def cancel(job: str) -> None:
    """Take an array, or a task, away."""
    _said("scancel", job)


@contextmanager
def drained() -> Iterator[None]:
    """While this lasts, the node begins no task."""
    _said("scontrol", "update", "nodename=node", "state=drain", "reason=test")
    try:
        yield
    finally:
        _said("scontrol", "update", "nodename=node", "state=resume")


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_for(condition: Callable[[], object], seconds: float = _WAIT) -> None:
    """Until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
