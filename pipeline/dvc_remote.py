"""DVC for one table: its remote in the configuration, its bytes in the cache and the remote."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from configobj import ConfigObj

from pipeline.errors import Mistake
from pipeline.git import Repository
from pipeline.spec import ReleaseSpec
from pipeline.workspace import write_text

CONFIG = ".dvc/config"
FIRST = {".dvc/.gitignore": "/config.local\n/tmp\n/cache\n", ".dvcignore": "/data/releases/.staging\n"}
CORE = {"analytics": "false", "check_update": "false", "autostage": "false"}
SECRET = re.compile(r"secret|password|token|access_key|account_key|connection_string")


@dataclass(frozen=True)
class Remote:
    """Where the bytes of releases are kept.

    Attributes:
        url: An absolute folder, or a URL that DVC knows.
        options: Further settings of it.
    """

    url: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path, settings: ReleaseSpec) -> "Remote":
        """Return the remote that a specification names; a folder is relative to the project.

        Raises:
            Mistake: If a secret stands in it: the remote is committed to git for everybody to read.
        """
        secret = next((name for name in settings.options if SECRET.search(name.lower())), None)
        if secret is not None:
            raise Mistake(f"release.options.{secret}: secrets come from the environment (AWS_...), never from a spec")
        if "://" not in settings.remote:
            return cls(str((root.resolve() / settings.remote).resolve()), settings.options)
        if urlsplit(settings.remote).password is not None:
            raise Mistake("release.remote: holds a password; secrets come from the environment, never from a spec")
        return cls(settings.remote, settings.options)

    @property
    def name(self) -> str:
        """Its name in DVC's configuration: another place or option is another name, so that none is ever redefined."""
        told = json.dumps([self.url, dict(self.options)], sort_keys=True)
        return f"release-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def folder(self) -> Path | None:
        """Its folder; None where it is a URL."""
        return None if "://" in self.url else Path(self.url)

    def ready(self) -> None:
        """Make sure that a folder can be written to; it may lie in the work tree, where git is to ignore it.

        Raises:
            Mistake: If it cannot.
        """
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / ".gitignore").exists():
                write_text(self.folder / ".gitignore", "*\n")
        except OSError as error:
            raise Mistake(f"release.remote: {self.url} cannot be written to: {error.strerror}") from error


def with_remote(config: str | None, remote: Remote) -> str:
    """Return the text of `.dvc/config` with a remote in it, which becomes the default where there is none.

    Args:
        config: The text as it stands, comments and all; None where there is none.
        remote: The remote to name.

    Raises:
        Mistake: If the text cannot be read.
    """
    tree = _read(config or "")
    before = json.dumps(tree.dict())
    core = tree.setdefault("core", {})
    for name, value in (CORE if config is None else {}).items():
        core.setdefault(name, value)
    core.setdefault("remote", remote.name)
    tree.setdefault(f'remote "{remote.name}"', {"url": remote.url, **remote.options})
    if config is not None and json.dumps(tree.dict()) == before:
        return config
    return "\n".join(tree.write()) + "\n"


def configuration(repository: Repository, commit: str | None, remote: Remote) -> dict[str, str]:
    """Return DVC's own files as the next commit is to have them (its configuration, what to ignore): blobs by path."""
    here = repository.files(commit, ".dvc") | repository.files(commit, ".dvcignore")
    blobs = {path: here.get(path) or repository.store(text.encode()) for path, text in FIRST.items()}
    config = None if commit is None else repository.read(commit, CONFIG)
    text = with_remote(None if config is None else config.decode(), remote)
    return blobs | {CONFIG: repository.store(text.encode())}


def configure(root: Path, remote: Remote) -> None:
    """Bring DVC's own files in the work tree up to that; what the user wrote there stays."""
    for path, text in FIRST.items():
        if not (root / path).exists():
            write_text(root / path, text)
    config = root / CONFIG
    write_text(config, with_remote(config.read_text(encoding="utf-8") if config.exists() else None, remote))


def cache_of(root: Path) -> Path:
    """Return the folder of the project's DVC cache."""
    for name in ("config.local", "config"):
        file = root / ".dvc" / name
        if file.exists():
            given = _read(file.read_text(encoding="utf-8")).get("cache", {}).get("dir")
            if given:
                return Path(os.path.normpath(root / ".dvc" / given))
    return root / ".dvc" / "cache"


def track(rows: Path, scratch: Path, cache: Path, remote: Remote, lock: int) -> None:
    """Put a file in the cache and write its `.dvc` beside it, which names the remote that holds it.

    It is done in a DVC repository of its own around the file, so that nobody else's DVC waits, and a failure leaves the
    project's own untouched.

    Args:
        rows: The file, somewhere below `scratch`.
        scratch: Folder that becomes that repository.
        cache: The project's DVC cache.
        remote: The remote.
        lock: Descriptor that DVC inherits.

    Raises:
        Mistake: If DVC refuses.
    """
    tree = _read(with_remote(None, remote))
    tree["core"]["no_scm"] = "true"
    tree["cache"] = {"dir": str(cache)}
    write_text(scratch / ".dvc" / "config", "\n".join(tree.write()) + "\n")
    _dvc(scratch, lock, remote, "add", str(rows))
    pointer = pointer_of(rows)
    content = yaml.safe_load(pointer.read_text(encoding="utf-8"))
    content["outs"][0]["remote"] = remote.name
    write_text(pointer, yaml.safe_dump(content, sort_keys=False))


def push(rows: Path, scratch: Path, remote: Remote, lock: int) -> None:
    """Push a tracked file to its remote.

    Raises:
        Mistake: If it did not arrive, or DVC so much as warns: DVC skips what it cannot read and still ends well.
    """
    _dvc(scratch, lock, remote, "push", str(pointer_of(rows)))


def pointer_of(rows: Path) -> Path:
    """Return the path of a file's `.dvc`."""
    return rows.with_name(f"{rows.name}.dvc")


def tracked(pointer: str) -> tuple[str, int]:
    """Return md5 and size in bytes of the file that a `.dvc` stands for."""
    out = yaml.safe_load(pointer)["outs"][0]
    return str(out["md5"]), int(out["size"])


def _dvc(folder: Path, lock: int, remote: Remote, *arguments: str) -> None:
    """Run DVC quietly: no analytics, no question for newer versions, its working files in `folder`."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / ".site")}
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        check=False,
        env=environment,
        pass_fds=(lock,),
        stdin=subprocess.DEVNULL,
    )
    words = done.stderr.decode(errors="replace")
    if done.returncode or re.search(r"^WARNING:", words, flags=re.MULTILINE):
        told = " ".join(line for line in words.splitlines() if re.match(r"ERROR|WARNING", line)) or words[-500:]
        place = f"release.remote {remote.url}: " if arguments[0] == "push" or "configuration error" in told else ""
        raise Mistake(f"{place}dvc {arguments[0]} ended with code {done.returncode}: {told.strip() or 'no message'}")


def _read(config: str) -> ConfigObj:
    try:
        return ConfigObj(config.splitlines(), indent_type="    ")
    except SyntaxError as error:
        raise Mistake(f".dvc/config: cannot be read: {error}") from error
