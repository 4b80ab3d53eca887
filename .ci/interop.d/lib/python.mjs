// The Python SDK in both its generations, as `.ci/python` has installed them.
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(`../../python.d/${path}`, import.meta.url));

/** Of a generation, 1 or 2: its interpreter, the SDK's own server and client for the conformance suite, our survey, our caller of given tools, and our session of held calls. */
export function python(generation) {
  const sources = here(`sdist-${generation}`);
  return {
    program: here(`venv-${generation}/bin/python`),
    server: here('server.py'),
    client: `${sources}/.github/actions/conformance/client.py`,
    survey: here('survey.py'),
    calls: here('calls.py'),
    held: here('held.py'),
    env: { PYTHONPATH: `${sources}/examples/servers/everything-server`, PYTHONWARNINGS: 'ignore' },
  };
}
