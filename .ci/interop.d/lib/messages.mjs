// JSON-RPC messages in bodies, as they are on the wire.

/** The messages of a body: of one document or batch, or of the finished events of a stream. None if it is neither. */
export function messages(body) {
  const whole = parse(body);
  const values = whole === undefined ? events(body).map(parse) : [whole];
  return values.flat().filter(value => value !== null && typeof value === 'object');
}

/** Methods that ask a client for something from inside the result of its call: no messages of their own. */
export const embeddedMethods = all => all.flatMap(({ result }) => Object.values(result?.inputRequests ?? {}).map(({ method }) => method));

/** The data of each finished event. */
function events(body) {
  const blocks = body.replaceAll(/\r\n?/g, '\n').split('\n\n').slice(0, -1);
  return blocks.map(block => block.split('\n').filter(line => line.startsWith('data:')).map(line => line.slice('data:'.length)).join('\n'));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
