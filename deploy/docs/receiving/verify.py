import base64, hmac, re, time


def verify(headers, body, *secrets):
    """Tell whether one of the secrets signed these exact bytes within five minutes.

    headers: a mapping with names in lower case; body: bytes, before any JSON parser."""
    timestamp = headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > 300:
        return False
    signed = f"{headers.get('webhook-id')}.{timestamp}.".encode() + body
    for secret in secrets:
        key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
        if not key:
            continue  # an empty key would accept what anyone signs
        want = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
        for signature in headers.get("webhook-signature", "").split():
            if hmac.compare_digest(signature.encode(), want):  # in constant time
                return True
    return False
