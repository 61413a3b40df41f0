import { createHmac, timingSafeEqual } from "node:crypto";

// verify tells whether one of the secrets signed these exact bytes within five minutes.
// headers: request.headers (names in lower case); body: a Buffer, before any JSON parser.
export function verify(headers, body, ...secrets) {
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const signatures = (headers["webhook-signature"] ?? "").split(" ").map((one) => Buffer.from(one));
  return secrets.filter(Boolean).some((secret) => {
    const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);
    if (key.length === 0) return false; // it would accept what anyone signs
    const mac = createHmac("sha256", key).update(`${headers["webhook-id"]}.${timestamp}.`).update(body);
    const want = Buffer.from(`v1,${mac.digest("base64")}`);
    return signatures.some((one) => one.length === want.length && timingSafeEqual(one, want));
  });
}
