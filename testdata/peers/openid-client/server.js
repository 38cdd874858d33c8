// A relying party made with openid-client: /login, /cb, /me, /refresh, /revoke, /logout, /bye, /backchannel, /frontchannel. Its one
// argument is a JSON file with `listen` (port), `issuer`, `client_id`, `client_secret`, `scope` and `userinfo_signed_response_alg`. Logout
// tokens, which openid-client does not read, are verified with jose, which comes with it. Sessions live in memory. For tests on loopback.
import fs from 'node:fs';
import http from 'node:http';
import crypto from 'node:crypto';
import * as client from 'openid-client';
import * as jose from 'jose';

const config = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const base = `http://localhost:${config.listen}`;
const cookieName = `openid_client_${config.listen}`;
const op = await client.discovery(new URL(config.issuer), config.client_id,
  { client_secret: config.client_secret, userinfo_signed_response_alg: config.userinfo_signed_response_alg }, undefined,
  { execute: [client.allowInsecureRequests] });
const keys = jose.createRemoteJWKSet(new URL(op.serverMetadata().jwks_uri));
const sessions = new Map();
const waiting = new Map();

function answer(res, status, body, headers = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body, null, 2);
  const type = typeof body === 'string' ? 'text/plain' : 'application/json';
  res.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-store', ...headers });
  res.end(text);
}

function redirect(res, location, headers = {}) {
  res.writeHead(303, { Location: String(location), ...headers });
  res.end();
}

async function form(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return new URLSearchParams(text);
}

function cookieOf(req) {
  const cookies = (req.headers.cookie || '').split('; ').map((pair) => pair.split('='));
  return (cookies.find(([name]) => name === cookieName) || [])[1];
}

async function login(req, res) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  waiting.set(state, { verifier, nonce });
  redirect(res, client.buildAuthorizationUrl(op, {
    redirect_uri: `${base}/cb`, scope: config.scope, state, nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  }));
}

async function callback(req, res, url) {
  const state = url.searchParams.get('state');
  const { verifier, nonce } = waiting.get(state) || {};
  const tokens = await client.authorizationCodeGrant(op, new URL(url.pathname + url.search, base),
    { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
  const claims = tokens.claims();
  const id = crypto.randomBytes(16).toString('hex');
  sessions.set(id, { tokens, claims, userinfo: await client.fetchUserInfo(op, tokens.access_token, claims.sub) });
  redirect(res, '/me', { 'Set-Cookie': `${cookieName}=${id}; Path=/; HttpOnly; SameSite=Lax` });
}

function known(handle) {
  return async (req, res, url) => {
    const session = sessions.get(cookieOf(req));
    if (!session) return answer(res, 401, 'nobody is signed in');
    return handle(req, res, session, url);
  };
}

async function me(req, res, session) {
  answer(res, 200, { claims: session.claims, userinfo: session.userinfo, introspection: await client.tokenIntrospection(op, session.tokens.access_token) });
}

async function refresh(req, res, session) {
  const before = session.tokens;
  session.tokens = await client.refreshTokenGrant(op, before.refresh_token);
  answer(res, 200, {
    rotated: session.tokens.refresh_token !== before.refresh_token, renewed: session.tokens.access_token !== before.access_token,
    userinfo: await client.fetchUserInfo(op, session.tokens.access_token, session.claims.sub),
  });
}

async function revoke(req, res, session) {
  await client.tokenRevocation(op, session.tokens.refresh_token || session.tokens.access_token);
  answer(res, 200, { introspection: await client.tokenIntrospection(op, session.tokens.access_token) });
}

async function logout(req, res, session) {
  sessions.delete(cookieOf(req));
  redirect(res, client.buildEndSessionUrl(op, { post_logout_redirect_uri: `${base}/bye`, id_token_hint: session.tokens.id_token, state: 'see you' }));
}

// OpenID Connect Back-Channel Logout 1.0, section 2.6.
async function backchannel(req, res) {
  const { payload } = await jose.jwtVerify((await form(req)).get('logout_token'), keys,
    { issuer: config.issuer, audience: config.client_id, typ: 'logout+jwt', requiredClaims: ['iat', 'exp', 'jti', 'events', 'sid', 'sub'] });
  const event = payload.events['http://schemas.openid.net/event/backchannel-logout'];
  if (typeof event !== 'object' || 'nonce' in payload) return answer(res, 400, 'no logout token');
  for (const [id, session] of sessions) if (session.claims.sid === payload.sid && session.claims.sub === payload.sub) sessions.delete(id);
  return answer(res, 200, '');
}

// OpenID Connect Front-Channel Logout 1.0, section 2: by issuer and session, for a frame brings no cookie.
function frontchannel(req, res, url) {
  if (url.searchParams.get('iss') !== config.issuer) return answer(res, 400, 'another issuer');
  for (const [id, session] of sessions) if (session.claims.sid === url.searchParams.get('sid')) sessions.delete(id);
  return answer(res, 200, 'signed out');
}

const routes = {
  'GET /': (req, res) => answer(res, 200, 'openid-client'),
  'GET /favicon.ico': (req, res) => answer(res, 204, ''),
  'GET /login': login,
  'GET /cb': callback,
  'GET /me': known(me),
  'GET /refresh': known(refresh),
  'GET /revoke': known(revoke),
  'GET /logout': known(logout),
  'GET /bye': (req, res, url) => answer(res, 200, `signed out, ${url.searchParams.get('state')}`),
  'POST /backchannel': backchannel,
  'GET /frontchannel': frontchannel,
};

http.createServer(async (req, res) => {
  const url = new URL(req.url, base);
  const route = routes[`${req.method} ${url.pathname}`];
  try {
    if (!route) return answer(res, 404, 'not found');
    await route(req, res, url);
  } catch (error) {
    answer(res, 403, `openid-client: ${error.code || ''} ${error.message} ${error.error_description || ''}`);
  }
}).listen(config.listen, '127.0.0.1', () => console.log('listening'));
