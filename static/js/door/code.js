// Reads a ticket's code as the server does, and checks its signature where the browser can.

const SHORT = /^[0-9A-HJKMNP-TV-Z]{16}$/;
const OLDER = /^[0-9A-Za-z_-]{22}$/;
const SIGNED = /^HF1\.[1-9][0-9]{0,18}\.[1-9][0-9]{0,18}\.[^.]+\.[A-Z2-7]+$/;
const MISREAD = { I: "1", L: "1", O: "0" };
const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_BYTES = 12;

function readShort(text) {
  const compact = text.replace(/[\s-]/g, "").toUpperCase().replace(/[ILO]/g, (letter) => MISREAD[letter]);
  if (SHORT.test(compact)) return compact;
  return OLDER.test(text) ? text : null;
}

// {code, event, message, signature}, the last three for a signed one; null for what is no code.
export function readCode(text) {
  const trimmed = text.trim();
  if (!trimmed.includes(".")) {
    const code = readShort(trimmed);
    return code && { code };
  }
  const [version, event, ticket, rest, signature = ""] = trimmed.split(".");
  const plain = [version.toUpperCase(), event, ticket, rest, signature.toUpperCase()].join(".");
  const code = SIGNED.test(plain) && trimmed.split(".").length === 5 ? readShort(rest) : null;
  return code && { code, event, message: `HF1.${event}.${ticket}.${code}`, signature: signature.toUpperCase() };
}

// Under which the held list has the ticket.
export async function keyOf(code) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(code));
  const bytes = new Uint8Array(digest).slice(0, KEY_BYTES);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

// Whether the signature is ours; null where this browser cannot tell.
export async function isSignedByUs(read, publicKey) {
  try {
    const bytes = Uint8Array.from(atob(publicKey), (letter) => letter.charCodeAt(0));
    const key = await crypto.subtle.importKey("raw", bytes, { name: "Ed25519" }, false, ["verify"]);
    const message = new TextEncoder().encode(read.message);
    return await crypto.subtle.verify({ name: "Ed25519" }, key, fromBase32(read.signature), message);
  } catch {
    return null;
  }
}

function fromBase32(text) {
  const bytes = [];
  let bits = 0;
  let value = 0;
  for (const letter of text) {
    value = ((value << 5) | BASE32.indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  return new Uint8Array(bytes);
}
