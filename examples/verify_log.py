"""Verifies leash-log/1: verify_log.py FILE [ROOT_KEY]... prints its state, or which line is wrong and why (exit code 1)."""
import base64, functools, hashlib, json, re, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
LINE = re.compile(rb'\{"v":1,"log":"[0-9a-f-]{36}","seq":\d+,(?:"kind":"checkpoint","size":\d+,"root":"[^"]+","sig":"[^"]+"|'
                  rb'"ts":"[-0-9T:.]{23}Z","kind":"(?:session_(?:open|close)|tool_(?:start|ok|error|denied)|budget_denied|charge|'
                  rb'egress_(?:ok|denied)|kill_switch|key_rotated|events_dropped|log_recovered)".*),"prev":"[0-9a-f]{64}"\}')
def need(condition, code):
    if not condition: raise ValueError(code)
def unique(pairs): return need(len(dict(pairs)) == len(pairs), "E_DUPKEY") or dict(pairs)
def parse(data):
    line = json.loads(data.decode(), object_pairs_hook=unique, parse_float="\ud800{}".format)
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    raw = b'"x":{"raw":' in data and re.sub('"\ud800([^"]+)"', r"\1", text)  # only there may be fractions; no text holds U+D800
    return need(LINE.fullmatch(data) and data.decode() in (text, raw), "E_FORMAT") or line
def decode(text, size):
    return need(base64.b64encode(data := base64.b64decode(text)).decode() == text and len(data) == size, "E_FORMAT") or data
def load(text, p=2**255 - 19):
    y = int.from_bytes(decode(text, 32), "little") % 2**255
    need(1 < y < p - 1 and (121665 * y**4 - 243332 * y**2 + 121666) % p, "E_KEY")  # canonical, of order 1, 2, 4; of 8
    return Ed25519PublicKey.from_public_bytes(decode(text, 32))
def signed(key, signature, text):
    try: return key.verify(decode(signature, 64), text.encode()) is None
    except InvalidSignature: return False
def node(right, left): return hashlib.sha256(b"\1" + left + right).digest()
class Log: size, prev, peaks, key, origin, signed, state, at = 0, "0" * 64, [], None, "", 0, "open", 0
def step(log, line, data, roots):
    kind, key, cert, first = line["kind"], line.get("key"), line.get("cert"), log.size == 0
    need(log.state == "open" or log.state == "closing" and kind == "checkpoint", "E_AFTER_CLOSE")
    leaf, at = hashlib.sha256(b"\0" + data).digest(), (line["log"], line["seq"])
    need(at[1] == log.size, "E_SEQ"), need(line["prev"] == log.prev and named.get(at, {leaf.hex()}) == {leaf.hex()}, "E_CHAIN")
    for head in line.get("prior", []) + [line[key] for key in ["parent"] if key in line]:  # of logs here or elsewhere
        place = head["log"], head.get("size", head.get("seq", 0) + 1) - 1
        need(hashes.get(place, head["hash"]) == head["hash"], "E_CHAIN"), named.setdefault(place, set()).add(head["hash"])
    need((kind == "session_open") == first, "E_FORMAT"), need((origin := line["origin"] if first else log.origin).endswith("/" + line["log"]), "E_FOREIGN")
    need((key or not cert and not roots) if first else log.key or kind not in ("checkpoint", "key_rotated"), "E_KEY")
    if kind == "checkpoint":
        need(line["size"] == log.size and decode(line["root"], 32) == functools.reduce(node, log.peaks[::-1]), "E_ROOT")
        need(signed(log.key, line["sig"], f"{origin}\n{log.size}\n{line['root']}\n"), "E_SIG")
        log.signed, log.state = log.size, "closed" if log.state == "closing" else "open"
    elif first and key or kind == "key_rotated":
        by, log.key, text = roots if first else [log.key], load(key), f"leash-log/1 session-key\n{origin}\n{key}\n"
        need(not by or cert and any(signed(one, cert, text) for one in by), "E_CERT")
    elif kind == "session_close": log.state = "closing" if log.key else "closed"
    log.origin, log.size, log.at, log.prev, hashes[at], log.peaks = origin, log.size + 1, log.at or number, *[leaf.hex()] * 2, [*log.peaks, leaf]
    for _ in range((log.size & -log.size).bit_length() - 1): log.peaks[-2:] = [node(log.peaks[-1], log.peaks[-2])]
file, roots, logs, hashes, named, bad, number = open(sys.argv[1], "rb"), [load(text) for text in sys.argv[2:]], {}, {}, {}, {}, 0
while (data := file.readline()).endswith(b"\n"):
    line, data, number = None, data[:-1], number + 1
    try:
        line = parse(data)
        step(logs.setdefault(line["log"], Log()), line, data, roots)
        if line["kind"] == "log_recovered" and (logs[line["log"]].at + 1, line["bytes"] or None, line["sha256"]) == (number, *bad.get(number - 2, ())[:2]): del bad[number - 2]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        bad[number] = len(data), hashlib.sha256(data).hexdigest(), str(error) if str(error)[:2] == "E_" else "E_FORMAT"
        if line: break
if not bad and any(at[0] in logs and at not in hashes for at in named): bad[number + 1] = 0, "", "E_TRUNCATED"
if bad: sys.exit("line %d: %s" % (min(bad), bad[min(bad)][2]))
print("torn-tail" if data else "closed" if {log.state for log in logs.values()} == {"closed"} else "open",
      sum(log.size for log in logs.values()), "lines,", sum(log.signed for log in logs.values()), "signed")
