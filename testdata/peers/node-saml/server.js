// A service provider made with @node-saml/node-saml: /login, /acs, /me, /metadata. Its one argument is a JSON file with
// `listen` (port), `saml` (node-saml's own options) and `certificate` (PEM of the app's key). It prints "listening" when
// it answers. Sessions live in memory. For tests on loopback only.
'use strict';

const fs = require('fs');
const http = require('http');
const crypto = require('crypto');
const { SAML } = require('@node-saml/node-saml');

const config = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const saml = new SAML(config.saml);
const sessions = new Map();
const cookieName = `node_saml_${config.listen}`;

function answer(res, status, type, body, headers = {}) {
  res.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-store', ...headers });
  res.end(body);
}

function form(req) {
  return new Promise((resolve, reject) => {
    let text = '';
    req.on('data', (chunk) => { text += chunk; });
    req.on('end', () => resolve(Object.fromEntries(new URLSearchParams(text))));
    req.on('error', reject);
  });
}

async function login(req, res, url) {
  const relayState = url.searchParams.get('RelayState') || '';
  if (config.saml.authnRequestBinding === 'HTTP-POST') {
    answer(res, 200, 'text/html', await saml.getAuthorizeFormAsync(relayState));
    return;
  }
  res.writeHead(302, { Location: await saml.getAuthorizeUrlAsync(relayState) });
  res.end();
}

async function acs(req, res) {
  const fields = await form(req);
  const { profile } = await saml.validatePostResponseAsync(fields);
  if (!profile) {
    answer(res, 401, 'text/plain', 'nobody is signed in');
    return;
  }
  const id = crypto.randomBytes(16).toString('hex');
  sessions.set(id, {
    nameID: profile.nameID,
    nameIDFormat: profile.nameIDFormat,
    nameQualifier: profile.nameQualifier,
    spNameQualifier: profile.spNameQualifier,
    sessionIndex: profile.sessionIndex,
    issuer: profile.issuer,
    inResponseTo: profile.inResponseTo,
    attributes: profile.attributes || {},
    relayState: fields.RelayState,
  });
  res.writeHead(303, { Location: '/me', 'Set-Cookie': `${cookieName}=${id}; Path=/; HttpOnly; SameSite=Lax` });
  res.end();
}

function me(req, res) {
  const cookies = (req.headers.cookie || '').split('; ').map((pair) => pair.split('='));
  const session = sessions.get((cookies.find(([name]) => name === cookieName) || [])[1]);
  if (!session) {
    answer(res, 401, 'text/plain', 'nobody is signed in');
    return;
  }
  answer(res, 200, 'application/json', JSON.stringify(session, null, 2));
}

const routes = {
  'GET /login': login,
  'POST /acs': acs,
  'GET /me': me,
  'GET /metadata': (req, res) => {
    const cert = config.certificate;
    answer(res, 200, 'application/samlmetadata+xml', saml.generateServiceProviderMetadata(cert, cert));
  },
};

http.createServer(async (req, res) => {
  const url = new URL(req.url, 'http://localhost');
  const route = routes[`${req.method} ${url.pathname}`];
  try {
    if (!route) {
      answer(res, 404, 'text/plain', 'not found');
      return;
    }
    await route(req, res, url);
  } catch (error) {
    const detail = error.xmlStatus ? `\n${error.xmlStatus}` : '';
    answer(res, 403, 'text/plain', `node-saml: ${error.message}${detail}`);
  }
}).listen(config.listen, '127.0.0.1', () => console.log('listening'));
