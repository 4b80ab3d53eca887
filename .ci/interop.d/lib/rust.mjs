// The Rust SDK, as the examples of this project have it.
const peer = name => `${process.env.SHADOWCAT_PEERS}/${name}`;

export const SERVER = peer('sdk_server');
export const CLIENT = peer('sdk_client');
export const CALLS = peer('sdk_calls');
