// Loaded before a test server with `node --import`: whatever address the server asks for, it listens on the
// loopback, on a free port, and says which. It also ends with its parent, so that a killed run leaves nothing behind.
import net from 'node:net';

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...args) {
  const callback = args.findLast(argument => typeof argument === 'function');
  this.once('listening', () => process.stderr.write(`test server on port ${this.address().port}\n`));
  return listen.call(this, { port: 0, host: '127.0.0.1' }, callback);
};

process.stdin.on('end', () => process.exit(0)).resume();
