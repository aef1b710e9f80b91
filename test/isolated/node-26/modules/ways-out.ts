/** Ways out of a worker, each tried as code would that nobody vouches for. Each resolves with what it got. */

/** What the attacker hopes to reach: servers, a file and open descriptors of the program that started the worker. */
export interface Goal {
  readonly port: number;
  readonly udpPort: number;
  readonly socketPath: string;
  /** A file that `read` does not list. */
  readonly secretFile: string;
  readonly newFile: string;
  /** Descriptors of the program: of a connection to the server, and of a file that it writes. */
  readonly connection: number;
  readonly log: number;
}

const builtin = <T>(name: string): T => process.getBuiltinModule(`node:${name}`) as T;

async function happens(emitter: { once(name: string, listener: (value?: unknown) => void): unknown }, event: string) {
  await new Promise((resolve, reject) => {
    emitter.once(event, resolve);
    emitter.once('error', reject);
  });
  return event;
}

const net = (): typeof import('node:net') => builtin('net');
const fs = (): typeof import('node:fs') => builtin('fs');
const threads = (): typeof import('node:worker_threads') => builtin('worker_threads');
const children = (): typeof import('node:child_process') => builtin('child_process');

/** A program that reaches the server. */
const program = ({ port }: Goal): string =>
  `const s = require('node:net').connect(${port}, '127.0.0.1', () => { s.end('child'); })`;

export const connectTcp = ({ port }: Goal): Promise<string> => happens(net().connect(port, '127.0.0.1'), 'connect');

export const connectBySocketClass = ({ port }: Goal): Promise<string> =>
  happens(new (net().Socket)().connect({ port, host: '127.0.0.1' }), 'connect');

export const connectTls = ({ port }: Goal): Promise<string> => {
  const tls: typeof import('node:tls') = builtin('tls');
  return happens(tls.connect({ port, host: '127.0.0.1' }), 'secureConnect');
};

export const getByHttp = ({ port }: Goal): Promise<string> => {
  const http: typeof import('node:http') = builtin('http');
  return happens(http.get(`http://127.0.0.1:${port}/`), 'response');
};

export const connectHttp2 = ({ port }: Goal): Promise<string> => {
  const http2: typeof import('node:http2') = builtin('http2');
  return happens(http2.connect(`http://127.0.0.1:${port}`), 'connect');
};

export const openWebSocket = ({ port }: Goal): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    socket.onopen = () => resolve('open');
    socket.onerror = () => reject(new Error('the WebSocket failed'));
  });

/** The runtime's own client, below `fetch`. */
export const dispatch = ({ port }: Goal): Promise<string> => {
  void globalThis.Response;
  const kept = (globalThis as Record<symbol, unknown>)[Symbol.for('undici.globalDispatcher.2')] as object;
  const agent = new (kept.constructor as new () => { dispatch(options: object, handler: object): boolean })();
  return new Promise((resolve, reject) => {
    agent.dispatch(
      { origin: `http://127.0.0.1:${port}`, path: '/', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart: (_: unknown, status: number) => resolve(`status ${status}`),
        onResponseData() {},
        onResponseEnd() {},
        onResponseError: (_: unknown, error: Error) => reject(error),
      },
    );
  });
};

export const connectUnixSocket = ({ socketPath }: Goal): Promise<string> =>
  happens(net().connect(socketPath), 'connect');

export const sendDatagram = ({ udpPort }: Goal): Promise<string> => {
  const dgram: typeof import('node:dgram') = builtin('dgram');
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4');
    socket.on('error', reject);
    socket.send('stolen', udpPort, '127.0.0.1', (error) => {
      socket.close();
      if (error) reject(error);
      else resolve('sent');
    });
  });
};

export const lookUpName = async (): Promise<string> => {
  const dns: typeof import('node:dns') = builtin('dns');
  return (await dns.promises.lookup('localhost')).address;
};

export const queryDns = async ({ udpPort }: Goal): Promise<unknown> => {
  const dns: typeof import('node:dns') = builtin('dns');
  const resolver = new dns.promises.Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`127.0.0.1:${udpPort}`]);
  return await resolver.resolve4('stolen.test');
};

export const spawnChild = (goal: Goal): Promise<string> =>
  happens(children().spawn(process.execPath, ['-e', program(goal)], { stdio: 'ignore' }), 'exit');

export const execChild = (goal: Goal): string =>
  children().execFileSync(process.execPath, ['-e', program(goal)], { encoding: 'utf8' }) || 'ran';

export const forkCluster = (): string => {
  const cluster: { fork(): unknown } = builtin('cluster');
  return typeof cluster.fork();
};

export const execInPlace = (): unknown => {
  const execve = (process as unknown as { execve(file: string, args: string[], env: object): void }).execve;
  return Reflect.apply(execve, process, [process.execPath, [process.execPath, '-e', '0'], {}]);
};

/** A thread of one's own, with whatever rights it asks for. */
export const startThread = (goal: Goal): Promise<string> =>
  happens(new (threads().Worker)(program(goal), { eval: true, execArgv: [] }), 'exit');

/** Hooks of the loader run on a thread of their own. */
export const registerHooks = async ({ port }: Goal): Promise<string> => {
  const module: typeof import('node:module') = builtin('module');
  const hooks = `import { connect } from 'node:net'; connect(${port}, '127.0.0.1').end('hooks');
    export const resolve = (name, context, next) => next(name, context);`;
  module.register(`data:text/javascript,${encodeURIComponent(hooks)}`);
  const hooked = 'data:text/javascript,export default "hooked"';
  return String(((await import(hooked)) as { default: string }).default);
};

export const useBinding = (): string =>
  Object.keys((process as unknown as { binding(name: string): object }).binding('tcp_wrap')).join();

export const useLinkedBinding = (): string =>
  Object.keys((process as unknown as { _linkedBinding(name: string): object })._linkedBinding('tcp_wrap')).join();

export const openInspector = (): string => {
  const inspector: typeof import('node:inspector') = builtin('inspector');
  inspector.open(0, '127.0.0.1');
  return 'open';
};

export const inspectMain = (): string => {
  const inspector: typeof import('node:inspector') = builtin('inspector');
  const session = new inspector.Session();
  session.connectToMainThread();
  return 'connected';
};

export const loadAddon = (): string => {
  process.dlopen({ exports: {} }, '/none.node');
  return 'loaded';
};

export const openLibrary = (): string => {
  const ffi: { DynamicLibrary: new (path: string | null) => object } | undefined = builtin('ffi');
  if (ffi === undefined) throw Object.assign(new Error('there is no node:ffi'), { code: 'ABSENT' });
  return typeof new ffi.DynamicLibrary(null);
};

export const startWasi = (): string => {
  const wasi: { WASI: new (options: object) => object } = builtin('wasi');
  return typeof new wasi.WASI({ version: 'preview1', preopens: { '/': '/' } });
};

export const openDatabase = ({ newFile }: Goal): string => {
  const sqlite: typeof import('node:sqlite') | undefined = builtin('sqlite');
  if (sqlite === undefined) throw Object.assign(new Error('there is no node:sqlite'), { code: 'ABSENT' });
  new sqlite.DatabaseSync(newFile).exec('CREATE TABLE stolen (x)');
  return 'written';
};

export const importDatabase = async (): Promise<string> => typeof (await import('node:sqlite')).DatabaseSync;

export const readFile = ({ secretFile }: Goal): string => fs().readFileSync(secretFile, 'utf8');

export const readFileLater = ({ secretFile }: Goal): Promise<string> => fs().promises.readFile(secretFile, 'utf8');

export const streamFile = ({ secretFile }: Goal): Promise<string> => happens(fs().createReadStream(secretFile), 'data');

export const importFile = async ({ secretFile }: Goal): Promise<string> =>
  JSON.stringify(await import(secretFile, { with: { type: 'json' } }));

export const requireFile = ({ secretFile }: Goal): string => {
  const module: typeof import('node:module') = builtin('module');
  return JSON.stringify(module.createRequire(secretFile)(secretFile));
};

export const listFolder = ({ secretFile }: Goal): string => {
  const path: typeof import('node:path') = builtin('path');
  return fs().readdirSync(path.dirname(secretFile)).join();
};

export const writeFile = ({ newFile }: Goal): string => {
  fs().writeFileSync(newFile, 'stolen');
  return 'written';
};

export const linkFile = ({ secretFile, newFile }: Goal): string => {
  fs().symlinkSync(secretFile, newFile);
  return 'linked';
};

export const readEnvironment = (): string => fs().readFileSync('/proc/self/environ', 'utf8');

export const readEnvironmentOfParent = (): string => fs().readFileSync(`/proc/${process.ppid}/environ`, 'utf8');

/** The permission model asks nobody about a descriptor that is open. */
export const writeToConnection = ({ connection }: Goal): number => fs().writeSync(connection, 'stolen');

export const adoptConnection = async ({ connection }: Goal): Promise<string> => {
  const socket = new (net().Socket)({ fd: connection });
  const failed = happens(socket, 'finish');
  socket.end('stolen');
  return await failed;
};

export const overwriteLog = ({ log }: Goal): number => fs().writeSync(log, 'forged', 0);

export const truncateLog = ({ log }: Goal): string => {
  fs().ftruncateSync(log, 0);
  return 'truncated';
};

export const signalParent = (): boolean => process.kill(process.ppid, 0);

export const signalByImport = async (): Promise<string> => {
  const { kill } = (await import('node:process')) as unknown as { kill(pid: number, signal: number): boolean };
  return String(kill(process.pid, 0));
};

export const slowParentByImport = async (): Promise<string> => {
  const { setPriority } = await import('node:os');
  setPriority(process.ppid, 0);
  return 'set';
};

export const setFlagsByImport = async (): Promise<string> => {
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--no-flush-bytecode');
  return 'set';
};

export const slowParent = (): string => {
  const os: typeof import('node:os') = builtin('os');
  os.setPriority(process.ppid, 0);
  return 'set';
};

/** Flags of V8 could take the bounds from the memory of WebAssembly; this one does no harm. */
export const setFlags = (): string => {
  const v8: typeof import('node:v8') = builtin('v8');
  v8.setFlagsFromString('--no-flush-bytecode');
  return 'set';
};

export const reportToFile = ({ newFile }: Goal): string => {
  (process.report as { writeReport(file: string): string }).writeReport(newFile);
  return 'written';
};

export const reportEnvironment = (): string => JSON.stringify(process.report?.getReport());

/** What a worker may see of the program. */
export const environment = (): string => JSON.stringify(process.env);
