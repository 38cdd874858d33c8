// Goes by openid-client through a sign-in as a client that is known by its certificate, whose tokens are bound to it (RFC 8705). Its one
// argument is a JSON file with `issuer`, `client_id`, `redirect`, and in PEM `cert` and `key` of the client, `ca` of the server. It
// asks the test as grants.js does: {open: address} is answered with where the browser is sent, the last line is {done: results}.
import fs from 'node:fs';
import https from 'node:https';
import readline from 'node:readline';
import * as client from 'openid-client';

const config = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(question) {
  console.log(JSON.stringify(question));
  return JSON.parse((await lines.next()).value);
}

// showing is a fetch that shows a certificate, or none, wherever it comes by TLS.
function showing(certificate) {
  const agent = new https.Agent({ ca: config.ca, ...certificate });
  return (url, { method, headers, body }) => (url.startsWith('http:') ? fetch(url, { method, headers, body }) : new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers, agent }, async (answer) => {
      const parts = await answer.toArray();
      resolve(new Response(Buffer.concat(parts), { status: answer.statusCode, headers: new Headers(Object.entries(answer.headers).map(([name, value]) => [name, String(value)])) }));
    });
    request.on('error', reject);
    request.end(body && String(body));
  }));
}

const op = await client.discovery(new URL(config.issuer), config.client_id, { use_mtls_endpoint_aliases: true }, client.TlsClientAuth(),
  { execute: [client.allowInsecureRequests], [client.customFetch]: showing({ cert: config.cert, key: config.key }) });

// bare does the same without the certificate, and gives the error.
async function bare(call) {
  const mine = op[client.customFetch];
  op[client.customFetch] = showing({});
  try {
    await call();
    return 'nothing';
  } catch (error) {
    return error.error || error.cause?.error || error.cause?.[0]?.parameters?.error || error.code;
  } finally {
    op[client.customFetch] = mine;
  }
}

async function certified() {
  const verifier = client.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), idTokenExpected: true };
  const address = client.buildAuthorizationUrl(op, {
    redirect_uri: config.redirect, scope: 'openid email offline_access', state: checks.expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  });
  const back = await ask({ open: address.href });
  const tokens = await client.authorizationCodeGrant(op, new URL(back), checks);
  const subject = tokens.claims().sub;
  const userinfo = await client.fetchUserInfo(op, tokens.access_token, subject);
  const stolen = await bare(() => client.fetchUserInfo(op, tokens.access_token, subject));
  const unproved = await bare(() => client.refreshTokenGrant(op, tokens.refresh_token));
  const renewed = await client.refreshTokenGrant(op, tokens.refresh_token);
  const asked = await client.tokenIntrospection(op, renewed.access_token);
  return { email: userinfo.email, stolen, unproved, active: asked.active, thumb: asked.cnf?.['x5t#S256'] };
}

const results = {};
try {
  results.certified = await certified();
} catch (error) {
  results.certified = { failed: `${error.code || ''} ${error.message} ${error.error || ''} ${error.error_description || ''} ${error.cause || ''}` };
}
await ask({ done: results });
process.exit(0);
