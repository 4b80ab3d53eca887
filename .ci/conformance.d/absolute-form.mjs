// Loaded before the suite with `node --import`: every request goes to HTTP_PROXY with its whole URL as the target. By itself
// Node asks for tunnels, which is a route of its own.
import { ProxyAgent, setGlobalDispatcher } from 'undici';

setGlobalDispatcher(new ProxyAgent({ uri: process.env.HTTP_PROXY, proxyTunnel: false }));
