"""What Prolific signs, with keys of our own."""

import json
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

PERSON = {"PROLIFIC_PID": "5f2", "STUDY_ID": "study1", "SESSION_ID": "s9"}
STUDY = "https://lab.example/page/?PROLIFIC_PID=5f2&STUDY_ID=study1&SESSION_ID=s9"


def private_keys():
    return {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("ours", "next", "theirs")}


def key_set(private, *names):
    keys = [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private[name].public_key())) for name in names]
    reported = {"alg": "RS256", "use": "sig", "key_ops": ["verify"]}
    return {"keys": [{**key, **reported, "kid": name} for name, key in zip(names, keys, strict=True)]}


def claims(**changes):
    return {
        "iss": "https://www.prolific.com", "sub": "s9", "aud": STUDY, "exp": time.time() + 600,
        "prolific": {**PERSON, "workspace_id": "w"}, **changes,
    }  # fmt: skip


def signed(private, content=None, *, key="ours", kid="ours", algorithm="RS256"):
    return jwt.encode(content or claims(), private[key], algorithm=algorithm, headers={"kid": kid})
