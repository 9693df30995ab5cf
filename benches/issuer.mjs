// An issuer of session tokens for the measured server: node issuer.mjs PORT TOKENS AZP
// Signs one RS256 token per virtual buyer, and one of an admin, writes them to the file TOKENS as {"user_0": "…"}, and serves its public key
// as a JWKS on 127.0.0.1:PORT until it is stopped.
import { createServer } from 'node:http';
import { generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const [port, file, azp] = process.argv.slice(2);
const iss = `http://127.0.0.1:${port}`;
const BUYERS = 10_000;
const HOURS = 6;

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'bench' }] });

const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
const head = encode({ alg: 'RS256', typ: 'JWT', kid: 'bench' });
const now = Math.floor(Date.now() / 1000);
const token = (sub) => {
  const metadata = sub === 'admin' ? { role: 'admin' } : undefined;
  const message = `${head}.${encode({ sub, iss, azp, metadata, iat: now, nbf: now, exp: now + HOURS * 3600 })}`;
  return `${message}.${sign('RSA-SHA256', Buffer.from(message), privateKey).toString('base64url')}`;
};
const users = ['warm', 'admin', ...Array.from({ length: BUYERS }, (_, n) => `user_${n}`)];
writeFileSync(file, JSON.stringify(Object.fromEntries(users.map((user) => [user, token(user)]))));

createServer((_, answer) => answer.setHeader('content-type', 'application/json').end(jwks)).listen(Number(port), '127.0.0.1');
