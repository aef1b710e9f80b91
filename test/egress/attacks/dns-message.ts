/** The name in a DNS query: RFC 1035 §4.1.2. */
export function questionOf(query: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 12; (query[at] ?? 0) > 0; at += (query[at] ?? 0) + 1) {
    labels.push(Buffer.from(query.subarray(at + 1, at + 1 + (query[at] ?? 0))).toString('latin1'));
  }
  return labels.join('.');
}

/** The query as a response with the code NXDOMAIN, and without what follows the question. */
export function noSuchName(query: Uint8Array): Uint8Array {
  const end = 12 + questionOf(query).length + 2 + 4;
  const response = Buffer.from(query.subarray(0, end));
  response.writeUInt16BE(0x8183, 2);
  response.fill(0, 6, 12);
  return response;
}
