"""Completion in bash, zsh and fish: their scripts, and the answers that these ask for.

Typer's own scripts are not used: bash splits words at colons, of which a selection has one, and in
zsh they evaluate what is offered, which here may come out of a file.

A script runs the command with ``_COMET_COMPLETE`` (the shell) and ``_COMET_LINE`` (the command line
up to the cursor). The answer is a line a candidate, with a tab before its description, and exit
code 0; where there is none and a file may stand, exit code 1, and the shell completes its name.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comet_cli.cli.completion import selected_file
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import STANDARD, read_input, show, write_output
from comet_cli.formats.places import home_folder
from comet_cli.models.library import comet_home

VARIABLE = "_COMET_COMPLETE"
FILES_INSTEAD = 1
_SAFE = re.compile(r"[^\w@%+=:,./-]")

BASH = r"""
_comet_completion() {
    local reply line
    COMPREPLY=()
    reply=$(_COMET_COMPLETE=bash _COMET_LINE="${COMP_LINE:0:COMP_POINT}" \
        _COMET_BREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null) || return 0
    compopt +o default 2>/dev/null
    while IFS= read -r line; do
        [[ -n $line ]] && COMPREPLY+=("$line")
    done <<< "$reply"
    return 0
}
complete -o default -o nosort -F _comet_completion comet comet-cli 2>/dev/null ||
    complete -o default -F _comet_completion comet comet-cli
"""
ZSH = r"""
_comet_completion() {
    local reply line
    local -a values texts
    reply=$(_COMET_COMPLETE=zsh _COMET_LINE="${(j: :)words[1,CURRENT-1]} $QIPREFIX$IPREFIX$PREFIX" \
        "${(Q)words[1]}" 2>/dev/null) || { _files; return }
    for line in "${(@f)reply}"; do
        [[ -n $line ]] || continue
        values+=("${line%%$'\t'*}")
        texts+=("${line/$'\t'/  -- }")
    done
    (( $#values )) && compadd -Q -V comet -l -d texts -a values
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _comet_completion comet comet-cli
"""
FISH = r"""
function __comet_completion
    set -l command (commandline -opc)[1]
    set -l line (commandline -cp | string collect)
    set -l reply (env _COMET_COMPLETE=fish _COMET_LINE="$line" $command 2>/dev/null)
    if test $status -ne 0
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $reply
    end
end
complete -k -c comet -f -a '(__comet_completion)'
complete -k -c comet-cli -f -a '(__comet_completion)'
"""
SCRIPTS = {"bash": BASH.lstrip(), "zsh": ZSH.lstrip(), "fish": FISH.lstrip()}


def script(shell: str) -> str:
    """Return the script that a shell reads.

    Raises:
        UsageError: another shell.
    """
    if shell not in SCRIPTS:
        raise UsageError(f"unknown shell '{show(shell)}'; use {', '.join(SCRIPTS)}")
    return SCRIPTS[shell]


def install(shell: str) -> list[Path]:
    """Write the script of a shell where it is read when one starts; return the files written.

    bash and zsh get a line in their start-up file, once.

    Raises:
        UsageError: another shell.
        CometError: a file that cannot be written.
    """
    text = script(shell).encode()
    if shell == "fish":
        base = Path(os.environ.get("XDG_CONFIG_HOME") or home_folder() / ".config")
        return [_write(base / "fish" / "conf.d" / "comet.fish", text)]
    target = _write(comet_home() / f"completion.{shell}", text)
    home = home_folder() if shell == "bash" else Path(os.environ.get("ZDOTDIR") or home_folder())
    start = home / f".{shell}rc"
    line = f"source {shlex.quote(str(target))}".encode()
    before = read_input(start) if start.exists() else b""
    if line in before.splitlines():
        return [target]
    gap = b"" if before.endswith(b"\n") or not before else b"\n"
    return [target, _write(start, before + gap + line + b"\n")]


def _write(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CometError(f"'{show(path.parent)}' cannot be made: {error.strerror}") from None
    write_output(path, data)
    return path


@dataclass(frozen=True)
class Typed:
    """A command line up to the cursor.

    Attributes:
        before: the words before the one being typed, without quotes.
        word: that one, without quotes.
        raw: as typed.
        quote: the quote that is open, or "".
    """

    before: tuple[str, ...]
    word: str
    raw: str
    quote: str


def split_line(line: str) -> Typed:
    """Split a command line as shells do; a quote may be open at its end."""
    before: list[str] = []
    word, start, quote, escaped = "", 0, "", False
    for n, c in enumerate(line):
        if escaped:
            word += c if quote != '"' or c in '"\\$`' else "\\" + c
            escaped = False
        elif c == "\\" and quote != "'":
            escaped = True
        elif quote:
            word, quote = (word, "") if c == quote else (word + c, quote)
        elif c in "'\"":
            quote = c
        elif c.isspace():
            before += [word] if start < n else []
            word, start = "", n + 1
        else:
            word += c
    return Typed(tuple(before), word, line[start:], quote)


def continue_word(typed: Typed, value: str) -> str | None:
    """Return the word as typed, continued to a value; None where its quote does not allow that."""
    rest = value[len(typed.word) :]
    if typed.quote:
        return None if set("'\"\\$`!") & set(rest) else typed.raw + rest
    return typed.raw + _SAFE.sub(lambda found: "\\" + found[0], rest)


def start_of_text(typed: Typed, breaks: str = "") -> int:
    """Return where, in the word as typed, the text begins that a shell will replace.

    That is after the quote that is open, or else after the last character that breaks words; with
    that character where it is one that readline keeps (``rl_special_prefixes`` of bash).
    """
    at, outside, quote, n = 0, 0, "", 0
    while n < len(typed.raw):
        c = typed.raw[n]
        if c == "\\" and quote != "'":
            n += 1
        elif quote:
            if c == quote:
                quote, at = "", n + 1 if c in breaks else outside
        elif c in "'\"":
            quote, outside, at = c, at, n + 1
        elif c in breaks:
            at = n if c in "$@" else n + 1
        n += 1
    return at


def complete_words() -> list[str]:
    """Return the words after ``comet`` that are typed to their end, where completion is asked."""
    try:
        return list(split_line(os.environ.get("_COMET_LINE", "")).before[1:])
    except Exception:  # as answer() will find
        return []


def answer(command: Callable[..., Any]) -> int:
    """Print what may follow on the command line that a script asks about; nothing else, ever.

    Args:
        command: ``main`` of the command that Typer made.

    Returns:
        The exit code.
    """
    try:
        return _answer(command)
    except Exception:  # whoever presses the tab key is not told about mistakes
        return FILES_INSTEAD


def _answer(command: Callable[..., Any]) -> int:
    shell, line = os.environ[VARIABLE], os.environ.get("_COMET_LINE", "")
    typed = split_line(line)
    # Of --model=cl the candidates are values alone.
    option = re.match(r"--[\w-]+=", typed.word)
    head = option[0] if option else ""
    found = []
    for value, text in _candidates(command, typed):
        if not (head + value).startswith(typed.word) or not value.isprintable():
            continue
        if shell == "fish":
            found.append(f"{head}{value}\t{text}" if text else head + value)
        elif (whole := continue_word(typed, head + value)) is not None:
            whole = whole[start_of_text(typed, os.environ.get("_COMET_BREAKS", "")) :]
            found.append(f"{whole}\t{text}" if text and shell == "zsh" else whole)
    if found:
        print("\n".join(found))
        return 0
    selected = selected_file(typed.word)
    is_file = selected is not None and os.path.isfile(os.path.expanduser(selected[1]))
    return 0 if is_file else FILES_INSTEAD


def _candidates(command: Callable[..., Any], typed: Typed) -> list[tuple[str, str]]:
    """Ask Typer, in the way that its own scripts do, of which fish's shows all and quotes none."""
    from typer.completion import completion_init

    completion_init()
    # Standard input with a list would be taken for an option.
    before = [STANDARD if word[:2] in ("-:", "-[", "-*", "-@") else word for word in typed.before]
    asked = shlex.join(["comet", *before[1:]])
    asked += f" {shlex.quote(typed.word)}" if typed.word else " "
    os.environ[VARIABLE] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    os.environ["_TYPER_COMPLETE_ARGS"] = asked
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(Exception, SystemExit):
            command(args=[], prog_name="comet")
    lines = [line.partition("\t") for line in said.getvalue().splitlines()]
    return [(value, text) for value, _, text in lines if value]
