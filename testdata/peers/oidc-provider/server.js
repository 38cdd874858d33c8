// An OpenID provider made with oidc-provider and its own development pages, which take any password. Its one argument is a JSON file
// with `listen` (port), `clients` (their metadata) and `accounts` (claims by the name that is typed). Its key is new at each start, and
// everything lives in memory. For tests on loopback.
import fs from 'node:fs';
import http from 'node:http';
import { Provider } from 'oidc-provider';
import * as jose from 'jose';

const config = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const issuer = `http://localhost:${config.listen}`;

async function newKey() {
  const { privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
  const jwk = await jose.exportJWK(privateKey);
  return { ...jwk, kid: await jose.calculateJwkThumbprint(jwk), use: 'sig', alg: 'RS256' };
}

const provider = new Provider(issuer, {
  clients: config.clients,
  jwks: { keys: [await newKey()] },
  cookies: { keys: ['for tests on loopback'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name', 'family_name', 'preferred_username'] },
  scopes: ['openid', 'email', 'profile'],
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...config.accounts[sub] }) }),
  fetch: (url, { dispatcher, ...options }) => fetch(url, options), // its own dispatcher reaches no loopback
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    jwtUserinfo: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: !!config.pushed },
  },
});
provider.on('server_error', (ctx, error) => console.log('server_error', error.stack));
provider.on('authorization.error', (ctx, error) => console.log('authorization.error', error.message, error.error_description));
provider.on('grant.error', (ctx, error) => console.log('grant.error', error.message, error.error_description, error.error_detail));
provider.on('backchannel.error', (ctx, error) => console.log('backchannel.error', error.message));

http.createServer(provider.callback()).listen(config.listen, '127.0.0.1', () => console.log('listening'));
