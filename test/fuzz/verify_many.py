"""Runs examples/verify_log.py on one log after the other: verify_many.py VERIFIER.

Reads lines of base64 and prints a line of JSON for each: [exit code, what it says]. An error that the verifier does not
catch is told as exit code 2."""
import base64, contextlib, io, json, sys

with open(sys.argv[1]) as source:
    head, begin, loop = source.read().partition("file, roots, logs, hashes, named, bad, number =")
definitions, loop = compile(head, sys.argv[1], "exec"), compile(loop.partition("\n")[2], sys.argv[1], "exec")
names = {}
exec(definitions, names)
for line in sys.stdin:
    names.update(file=io.BytesIO(base64.b64decode(line)), roots=[], logs={}, hashes={}, named={}, bad={}, number=0)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(loop, names)
        told = [0, said.getvalue().strip()]
    except SystemExit as ended:
        told = [1, str(ended.code)]
    except Exception as error:
        told = [2, type(error).__name__]
    print(json.dumps(told), flush=True)
