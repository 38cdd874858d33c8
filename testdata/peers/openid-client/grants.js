// Goes by openid-client through what has no page of its own: registration, private_key_jwt, pushed and signed requests, DPoP, devices,
// client credentials, token exchange. Its one argument is a JSON file with `issuer`, `token` (initial access token) and `redirect`. It
// asks the test for what a person or an administrator does, one line of JSON each way: {open: address} is answered with where the
// browser is sent, {device: address} and {set: client, key, value} with anything. The last line is {done: results}.
import fs from 'node:fs';
import readline from 'node:readline';
import * as client from 'openid-client';
import * as jose from 'jose';

const config = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(question) {
  console.log(JSON.stringify(question));
  return JSON.parse((await lines.next()).value);
}

async function register(metadata, auth) {
  return client.dynamicClientRegistration(new URL(config.issuer), { redirect_uris: [config.redirect], ...metadata }, auth,
    { initialAccessToken: config.token, execute: [client.allowInsecureRequests] });
}

async function withKey(metadata) {
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
  const key = { key: privateKey, kid: 'one' };
  const jwks = { keys: [{ ...await jose.exportJWK(publicKey), kid: 'one', use: 'sig', alg: 'ES256' }] };
  return { key, op: await register({ token_endpoint_auth_method: 'private_key_jwt', jwks, ...metadata }, client.PrivateKeyJwt(key)) };
}

// signIn brings a person through a sign-in that build begins, and redeems the code.
async function signIn(op, build, options) {
  const verifier = client.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true };
  const address = await build({
    redirect_uri: config.redirect, scope: 'openid email offline_access', state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  });
  const back = await ask({ open: address.href });
  return { address, tokens: await client.authorizationCodeGrant(op, new URL(back), checks, undefined, options) };
}

const alive = async (op, token) => (await client.tokenIntrospection(op, token)).active;

// fails gives the error by which something is refused.
async function fails(promise) {
  try {
    await promise;
    return 'nothing';
  } catch (error) {
    return error.error || error.cause?.error || error.code || error.message;
  }
}

async function pushed() {
  const { op } = await withKey({ grant_types: ['authorization_code', 'refresh_token'], require_pushed_authorization_requests: true, dpop_bound_access_tokens: true });
  const DPoP = client.getDPoPHandle(op, await client.randomDPoPKeyPair('ES256'));
  const { address, tokens } = await signIn(op, (params) => client.buildAuthorizationUrlWithPAR(op, params, { DPoP }), { DPoP });
  const userinfo = await client.fetchUserInfo(op, tokens.access_token, tokens.claims().sub, { DPoP });
  const renewed = await client.refreshTokenGrant(op, tokens.refresh_token, undefined, { DPoP });
  const result = {
    only: [...address.searchParams.keys()].sort().join(' '), type: tokens.token_type, email: userinfo.email,
    rotated: renewed.refresh_token !== tokens.refresh_token, active: await alive(op, renewed.access_token),
    bearer: await fails(client.fetchUserInfo(op, renewed.access_token, tokens.claims().sub)),
  };
  await client.tokenRevocation(op, renewed.refresh_token);
  return { ...result, revoked: !await alive(op, renewed.access_token) };
}

async function signedRequest() {
  const { key, op } = await withKey({});
  const { address, tokens } = await signIn(op, (params) => client.buildAuthorizationUrlWithJAR(op, params, key));
  return { only: [...address.searchParams.keys()].sort().join(' '), type: tokens.token_type };
}

async function device() {
  const op = await register({ token_endpoint_auth_method: 'none', redirect_uris: undefined, grant_types: ['urn:ietf:params:oauth:grant-type:device_code'] }, client.None());
  const waiting = await client.initiateDeviceAuthorization(op, { scope: 'openid email' });
  await ask({ device: waiting.verification_uri_complete });
  const tokens = await client.pollDeviceAuthorizationGrant(op, { ...waiting, interval: 0.1 });
  return { email: (await client.fetchUserInfo(op, tokens.access_token, tokens.claims().sub)).email };
}

async function alone() {
  const { op } = await withKey({ redirect_uris: undefined, grant_types: ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'] });
  const refused = await fails(client.clientCredentialsGrant(op, { scope: 'peer.read' }));
  await ask({ set: op.clientMetadata().client_id, key: 'oauth.run_as', value: 'ana' });
  const tokens = await client.clientCredentialsGrant(op, { scope: 'peer.read peer.write' });
  const narrower = await client.genericGrantRequest(op, 'urn:ietf:params:oauth:grant-type:token-exchange',
    { subject_token: tokens.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope: 'peer.read' });
  return { refused, scope: tokens.scope, narrower: narrower.scope, active: await alive(op, narrower.access_token) };
}

async function registers() {
  const op = await register({ client_name: 'Self-made' }, undefined);
  const metadata = op.clientMetadata();
  return {
    name: metadata.client_name, secret: typeof metadata.client_secret, method: metadata.token_endpoint_auth_method,
    bad: await fails(register({ redirect_uris: ['https://peer.example.org/cb#fragment'] })),
  };
}

const results = {};
for (const scenario of [registers, pushed, signedRequest, device, alone]) {
  try {
    results[scenario.name] = await scenario();
  } catch (error) {
    results[scenario.name] = { failed: `${error.code || ''} ${error.message} ${error.error || ''} ${error.error_description || ''} ${error.cause || ''} ${JSON.stringify(error.cause?.body || '')}` };
  }
}
await ask({ done: results });
process.exit(0);
