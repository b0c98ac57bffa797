"""The wire of handover, from peer/README.md alone: an announcement is decoded and
encoded, the domain computed, a status message of handover-lib made.

Reads one JSON object a line, {"op": "decode", ...}, and answers with one a line."""

import hashlib
import hmac
import json
import struct
import sys

PHASES = ["starting", "prepared", "serving", "holding", "draining", "released", "gone"]
LENGTHS = {1: 16, 2: 1, 3: 1, 4: 12, 5: 12, 6: 8, 7: 8, 8: 2}

class Dropped(Exception):
    pass

def domain_of(boot_id, app_id, service):
    text = b""
    for part in (boot_id, app_id, service):
        text += struct.pack(">H", len(part.encode())) + part.encode()
    return hashlib.sha256(text).digest()[:8]

def sign(secret, message):
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()

def decode(raw, domain, secrets):
    if len(raw) >= 512:
        raise Dropped("oversized")
    if len(raw) < 9:
        raise Dropped("short")
    if raw[0] != 1:
        raise Dropped("version")
    said = {"startMilli": struct.unpack(">q", raw[1:9])[0]}
    if len(raw) == 9:
        if secrets:
            raise Dropped("unsigned")
        if said["startMilli"] <= 0:
            raise Dropped("zero")
        return dict(said, legacy=True)
    if len(raw) < 20 or raw[9:11] != b"HO":
        raise Dropped("malformed")
    if raw[12:20] != domain:
        raise Dropped("domain")
    if raw[11] != 1:
        raise Dropped("extension")
    signature = read_fields(raw[20:], said)
    if secrets and signature is None:
        raise Dropped("unsigned")
    if secrets and not any(hmac.compare_digest(sign(s, raw[:-32]), signature) for s in secrets):
        raise Dropped("signature")
    return said

def read_fields(rest, said):
    seen, signature, acks = set(), None, []
    while rest:
        if signature is not None or len(rest) < 2 or len(rest) < 2 + rest[1]:
            raise Dropped("malformed")
        kind, value, rest = rest[0], rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        if kind == 0xFF:
            wanted(len(value) == 32)
            signature = value
            continue
        wanted(not 1 <= kind <= 8 or kind not in seen)
        seen.add(kind)
        if kind == 9:
            wanted(len(value) == 16)
            if value.hex() not in acks:
                acks.append(value.hex())
        else:
            read_field(kind, value, said)
    wanted({1, 2, 7} <= seen)
    if acks:
        said["acks"] = acks[:8]
    return signature

def wanted(condition):
    if not condition:
        raise Dropped("malformed")

def read_field(kind, value, said):
    if kind not in LENGTHS:
        return
    wanted(len(value) == LENGTHS[kind])
    number = int.from_bytes(value, "big")
    if kind == 1:
        wanted(number != 0)
        said["instance"] = value.hex()
    elif kind == 2:
        wanted(1 <= number <= 7)
        said["phase"] = PHASES[number - 1]
    elif kind == 3:
        said.update({name: True for name, bit in (("told", 1), ("ask", 2), ("timed", 4), ("listens", 8)) if number & bit})
    elif kind == 4:
        since = struct.unpack(">q", value[4:])[0]
        wanted(any(value[:4]) and since >= 0)
        said["firstStart"] = {"boot": value[:4].hex(), "ns": str(since)}
    elif kind == 5:
        wanted(all(c in b"0123456789abcdef" for c in value))
        said["container"] = value.decode()
    elif kind == 6 and number != 0:
        said["release"] = str(number)
    elif kind == 7:
        wanted(number != 0)
        said["sequence"] = str(number)
    elif kind == 8:
        said["forgetAfterSeconds"] = min(max(number, 3), 3600)

def encode(said, domain, secrets):
    raw = struct.pack(">Bq", 1, said.get("startMilli", 0))
    if said.get("legacy"):
        return raw
    raw += b"HO\x01" + domain
    fields = [(1, bytes.fromhex(said["instance"])), (2, bytes([PHASES.index(said["phase"]) + 1]))]
    if flags := sum(bit for name, bit in (("told", 1), ("ask", 2), ("timed", 4), ("listens", 8)) if said.get(name)):
        fields.append((3, bytes([flags])))
    fields.append((7, struct.pack(">Q", int(said["sequence"]))))
    if "forgetAfterSeconds" in said:
        fields.append((8, struct.pack(">H", said["forgetAfterSeconds"])))
    if "firstStart" in said:
        first = said["firstStart"]
        fields.append((4, bytes.fromhex(first["boot"]) + struct.pack(">q", int(first["ns"]))))
    if "container" in said:
        fields.append((5, said["container"].encode()))
    if "release" in said:
        fields.append((6, struct.pack(">Q", int(said["release"]))))
    fields += [(9, bytes.fromhex(a)) for a in said.get("acks", [])]
    raw += b"".join(bytes([kind, len(value)]) + value for kind, value in fields)
    return raw + b"\xff\x20" + sign(secrets[0], raw + b"\xff\x20") if secrets else raw

def status_message(said):
    addresses = b"".join(bytes(map(int, a.split("."))) for a in said["addresses"][:10])
    return struct.pack(">Bq63s40s8s", 2, said["timestamp"], said["serviceName"].encode(), addresses, said["status"].encode())

def answer(q):
    domain, secrets = bytes.fromhex(q.get("domain", "")), q.get("secrets") or []
    if q["op"] == "domain":
        return {"hex": domain_of(q["bootId"], q["appId"], q["service"]).hex()}
    if q["op"] == "status":
        return {"hex": status_message(q["said"]).hex()}
    if q["op"] == "encode":
        return {"hex": encode(q["said"], domain, secrets).hex()}
    try:
        return {"said": decode(bytes.fromhex(q["hex"]), domain, secrets)}
    except Dropped as reason:
        return {"reason": str(reason)}

for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
