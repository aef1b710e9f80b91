"""Changes every bit of a closed log in turn and runs examples/verify_log.py on it: bit_flips.py VERIFIER LOG ROOT_KEY.

Lines before the changed one are the same each time, so the verifier's state after them is kept: its own code, run on them.
Prints one JSON line: how many bits were changed, how many of them left the log torn, and which ones passed."""
import contextlib, copy, io, json, sys

verifier, path, root = sys.argv[1:]
with open(verifier) as source:
    head, begin, loop = source.read().partition("file, roots, logs, hashes, named, bad, number =")
definitions, loop = compile(head, verifier, "exec"), compile(loop.partition("\n")[2], verifier, "exec")
with open(path, "rb") as log:
    lines = log.read().splitlines(keepends=True)

names = {}
exec(definitions, names)
roots = [names["load"](root)]


def verdict(data, logs, hashes, number):
    names.update(file=io.BytesIO(data), roots=roots, logs=logs, hashes=hashes, named={}, bad={}, number=number)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(loop, names)
    except SystemExit:
        return None
    return said.getvalue().split()[0]


assert verdict(b"".join(lines), {}, {}, 0) == "closed", "the log as it is must verify"
changed, torn, passed, offset = 0, 0, [], 0
logs, hashes = {}, {}
for number, line in enumerate(lines):
    rest = b"".join(lines[number + 1 :])
    for bit in range(len(line) * 8):
        flipped = bytearray(line)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        state = verdict(bytes(flipped) + rest, {log: copy.copy(kept) for log, kept in logs.items()}, dict(hashes), number)
        changed += 1
        last = number == len(lines) - 1 and bit >> 3 == len(line) - 1
        if last and state == "torn-tail":
            torn += 1
        elif state is not None:
            passed.append(offset * 8 + bit)
    verdict(line, logs, hashes, number)
    offset += len(line)
    if sys.stderr.isatty() and number % 10 == 0:
        print(f"\rverify_log.py: line {number} of {len(lines)}", end="", file=sys.stderr)
print(json.dumps({"changed": changed, "torn": torn, "passed": passed}))
