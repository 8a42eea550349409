// A real OpenID Connect provider (npm oidc-provider) in one process, for tests: `tests.support.login_provider`.
//
//   node oidc_provider.mjs MODULES FOLDER PORT    prints its port when it serves, and ends when its standard input does
//
// FOLDER/clients.json and FOLDER/keys.json are read at the start, FOLDER/people.json (claims by login name) at each login.
// Its own form for developers takes any password. PKCE is required, and its answers name the issuer.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, folder, port] = process.argv.slice(2);
const found = createRequire(join(modules, 'index.js')).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found));
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: read('clients.json'),
  jwks: read('keys.json'),
  cookies: { keys: ['for tests'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  // As the standard has it: claims of scopes are told at the userinfo endpoint.
  conformIdTokenClaims: true,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ ...read('people.json')[id], sub: id }) }),
});

const server = provider.listen(Number(port), '127.0.0.1', () => console.log(port));
process.stdin.on('end', () => {
  server.closeAllConnections();
  server.close(() => process.exit(0));
});
process.stdin.resume();
