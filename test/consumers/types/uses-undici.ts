import { createLeash, egress } from 'leashkit';
import { type LeashDispatcherOptions, leashDispatcher, leashFetch, leashInterceptor } from 'leashkit/undici';
import { Agent, interceptors, request } from 'undici';

const leash = createLeash({ guards: [egress({ allow: ['example.com'] })] });
const options: LeashDispatcherOptions = { connections: 4, tls: { ca: 'ca' } };
const dispatcher = leashDispatcher(leash, options).compose(interceptors.redirect());
const answer: Promise<string> = request('https://example.com', { dispatcher }).then(({ body }) => body.text());
const other = new Agent().compose(leashInterceptor(leash), interceptors.retry());
const status: Promise<number> = leashFetch(leash)('https://example.com', { method: 'POST' }).then((r) => r.status);

export { answer, other, status };
