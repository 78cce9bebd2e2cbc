"""Git by its plumbing: commits and tags that leave the user's branch work, staged changes and files alone."""

import fcntl
import getpass
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.errors import Mistake

INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")
FALLBACK = ("lookalike", "lookalike@localhost")
PATIENCE = 60.0


class Head(NamedTuple):
    """Where the user stands: a branch (None where detached) and a commit (None where there is none yet)."""

    branch: str | None
    commit: str | None


class Tag(NamedTuple):
    """An annotated tag, the commit that it names, and the body of its message."""

    name: str
    commit: str
    body: str


@contextmanager
def one_writer(lock: Path, patience: float) -> Iterator[int]:
    """Hold a lock file, waiting at most `patience` seconds for it.

    Yields:
        The lock's descriptor. A child process that inherits it keeps the lock, so that no second writer starts while
        the child of a killed one is still at work.

    Raises:
        Mistake: If somebody else still holds it.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise Mistake(f"{lock}: another release has held the lock for {patience:.0f} seconds") from error
                time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Repository:
    """One git repository.

    Attributes:
        root: Its top folder.
        lock: Descriptor that every git process inherits; None for readers.
    """

    root: Path
    lock: int | None = None

    @classmethod
    def at(cls, root: Path) -> Self:
        """Open the repository whose top folder is `root`.

        Raises:
            Mistake: If there is none.
        """
        repository = cls(root.resolve())
        try:
            top = Path(repository.text("rev-parse", "--show-toplevel"))
        except Mistake as error:
            raise Mistake(f"{root}: is not a git repository: run `git init` there ({error})") from error
        if top != repository.root:
            raise Mistake(f"{root}: lies inside the git repository {top}: run `git init` there, or use {top} as root")
        return repository

    @property
    def shared(self) -> Path:
        """The git folder that all work trees share."""
        return Path(self.text("rev-parse", "--path-format=absolute", "--git-common-dir"))

    def run(self, *arguments: str, given: bytes = b"", index: Path | None = None) -> bytes:
        """Run git.

        Args:
            arguments: Of the command.
            given: Its standard input.
            index: Index to use in place of the user's.

        Raises:
            Mistake: If git refuses, with git's own words.
        """
        done = self._call(arguments, given, index)
        if done.returncode:
            words = " ".join(done.stderr.decode(errors="replace").split())
            raise Mistake(f"git {arguments[0]} ended with code {done.returncode}: {words or 'no message'}")
        return done.stdout

    def text(self, *arguments: str) -> str:
        """Run git and return its answer as one stripped text."""
        return self.run(*arguments).decode().strip()

    def ask(self, *arguments: str) -> str | None:
        """Run a git query that ends with code 1 where there is no answer."""
        done = self._call(arguments, b"", None)
        if done.returncode == 1:
            return None
        return self.text(*arguments) if done.returncode else done.stdout.decode().strip()

    def setting(self, name: str) -> str | None:
        """Return a git setting of the user."""
        return self.ask("config", "--get", name)

    def identity(self) -> tuple[str, str]:
        """Return name and mail address for commits; a fixed one where the user has told git none."""
        name = os.environ.get("GIT_COMMITTER_NAME") or self.setting("user.name")
        mail = os.environ.get("GIT_COMMITTER_EMAIL") or self.setting("user.email")
        return (name, mail) if name and mail else FALLBACK

    def who(self) -> str:
        """Return who acts: git's user, else the operating system's."""
        name, mail = self.identity()
        return _account() if (name, mail) == FALLBACK else f"{name} <{mail}>"

    def head(self) -> Head:
        """Return where the user stands."""
        return Head(self.ask("symbolic-ref", "-q", "HEAD"), self.ask("rev-parse", "-q", "--verify", "HEAD^{commit}"))

    def read(self, revision: str, path: str) -> bytes | None:
        """Return a file's bytes at a revision; None where it is not there."""
        return self.read_all([f"{revision}:{path}"])[0]

    def read_all(self, names: list[str]) -> list[bytes | None]:
        """Return the bytes of blobs by name (`revision:path`), None for each that is not there."""
        answer = self.run("cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode())
        found: list[bytes | None] = []
        start = 0
        for _ in names:
            end = answer.index(b"\n", start)
            header = answer[start:end].split(b" ")
            start = end + 1
            if header[-1] == b"missing" or header[-2] != b"blob":
                found.append(None)
                start += 0 if header[-1] == b"missing" else int(header[-1]) + 1
                continue
            found.append(answer[start : start + int(header[-1])])
            start += int(header[-1]) + 1
        return found

    def files(self, commit: str | None, folder: str) -> dict[str, str]:
        """Return the blobs below a folder at a commit, by path; none where there is no commit."""
        listing = b"" if commit is None else self.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", folder)
        return _entries(listing, blob=2)

    def staged(self, paths: list[str]) -> dict[str, str]:
        """Return the blobs that the user's index holds of some paths, by path."""
        return _entries(self.run("ls-files", "-s", "-z", "--", *paths), blob=1)

    def store(self, content: bytes) -> str:
        """Put bytes in the object store, as they are, and return the blob's name."""
        return self.run("hash-object", "-w", "--no-filters", "--stdin", given=content).decode().strip()

    def commit(self, parent: str | None, files: Mapping[str, str], message: str, scratch: Path) -> str:
        """Make a commit of a parent and some files, without touching the user's index, files or branch.

        Args:
            parent: Commit to add to; None for the first.
            files: Blobs by path.
            message: Of the commit.
            scratch: Path of an index file to use meanwhile.
        """
        self.run("read-tree", *(("--empty",) if parent is None else (parent,)), index=scratch)
        self.run("update-index", "-z", "--index-info", given=_index_lines(files), index=scratch)
        tree = self.run("write-tree", index=scratch).decode().strip()
        name, mail = self.identity()
        settings = ("-c", f"user.name={name}", "-c", f"user.email={mail}")
        parents = () if parent is None else ("-p", parent)
        return self.run(*settings, "commit-tree", tree, *parents, given=message.encode()).decode().strip()

    def tag(self, name: str, commit: str, message: str) -> str:
        """Make an annotated tag as an object that no reference names yet."""
        person = "{} <{}>".format(*self.identity())
        header = f"object {commit}\ntype commit\ntag {name}\ntagger {person} {int(time.time())} +0000\n\n"
        return self.run("mktag", given=(header + message).encode()).decode().strip()

    def move(self, head: Head, commit: str, tag: str, target: str) -> None:
        """Move the branch (where there is one) by compare-and-swap and create the tag, both or neither.

        Raises:
            Mistake: If the branch has moved, the tag exists, or another git process is at work on them.
        """
        old = head.commit or "0" * len(commit)
        branch = [] if head.branch is None else [f"update {head.branch} {commit} {old}"]
        lines = ["start", *branch, f"create refs/tags/{tag} {target}", "prepare", "commit", ""]
        self.run("update-ref", "-m", f"release: {tag}", "--stdin", given="\n".join(lines).encode())

    def stage(self, files: Mapping[str, str]) -> None:
        """Set the user's index for these paths only, waiting for another git process to let go of it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.run("update-index", "-z", "--index-info", given=_index_lines(files))
                return
            except Mistake as error:
                if "index.lock" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def tags(self, body: str) -> list[Tag]:
        """Return the annotated tags whose message body is one line that matches `body`."""
        listing = self.text("for-each-ref", "refs/tags", "--format=%(refname:strip=2) %(*objectname) %(contents:body)")
        found = re.findall(rf"^(\S+) ([0-9a-f]{{40,64}}) ({body})$", listing, flags=re.MULTILINE)
        return [Tag(*each[:3]) for each in found]

    def tag_names(self) -> set[str]:
        """Return the names of all tags."""
        return set(self.text("for-each-ref", "refs/tags", "--format=%(refname:strip=2)").split())

    def _call(self, arguments: tuple[str, ...], given: bytes, index: Path | None) -> subprocess.CompletedProcess[bytes]:
        environment = {name: value for name, value in os.environ.items() if name not in INHERITED}
        environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        command = ["git", "-C", str(self.root), *arguments]
        kept = () if self.lock is None else (self.lock,)
        try:
            return subprocess.run(
                command, input=given, capture_output=True, check=False, env=environment, pass_fds=kept
            )
        except FileNotFoundError as error:
            raise Mistake(f"git {arguments[0]}: git is not installed") from error


def _index_lines(files: Mapping[str, str]) -> bytes:
    return "".join(f"100644 {blob}\t{path}\0" for path, blob in files.items()).encode()


def _entries(listing: bytes, blob: int) -> dict[str, str]:
    """Read the NUL-ended lines of `ls-tree` or `ls-files -s`: fields, a tab, the path."""
    lines = (line.split("\t", 1) for line in os.fsdecode(listing).split("\0") if line)
    return {path: fields.split(" ")[blob] for fields, path in lines}


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
