"""Whether a folder is on a network file system, on which SQLite's locks do not hold."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs afs ncpfs ceph lustre gpfs glusterfs beegfs fuse.sshfs fuse.s3fs fuse.glusterfs"
    " fuse.rclone fuse.gcsfuse fuse.cephfs".split()
)


def kind_of(folder: Path) -> str:
    """Return the kind of network file system that a folder is on, '' if it is on none, or that is not known."""
    try:
        device, text = folder.stat().st_dev, _MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:  # no Linux
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = {kind for at, kind in map(_mount, text.splitlines()) if at == number}
    return next(iter(sorted(kinds & _NETWORK)), "")


def _mount(line: str) -> tuple[str, str]:
    """Return the device and the kind of a mount.

    proc(5), /proc/pid/mountinfo: '(3) major:minor', '(8) separator: the end of the optional fields is marked by a
    single hyphen', '(9) filesystem type'.
    """
    found = re.fullmatch(r"\S+ \S+ (\S+) .* - (\S+) .*", line)
    return (found[1], found[2]) if found else ("", "")
