// The program that attacks start in other processes and threads: connects to a port of this machine, and ends. It does not
// wait for an answer: who started it may be waiting for it, and be the server.
import { connect } from 'node:net';

connect(Number(process.argv[2]), '127.0.0.1').end('from elsewhere', () => process.exit());
