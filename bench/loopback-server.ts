/**
 * The server of the clients that are measured: answers each GET with two bytes, and does so little for it that it waits
 * for the client and not the client for it. Tells its port, and ends with its parent.
 */
import { type AddressInfo, createServer } from 'node:net';

const ANSWER = Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok');

const server = createServer({ noDelay: true }, (socket) => {
  // Each request fits in a packet, and the next one waits for its answer.
  socket.on('data', () => socket.write(ANSWER));
  socket.on('error', () => {});
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.once('disconnect', () => process.exit());
