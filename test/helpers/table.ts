/** Rows under a head as lines of text, each column as wide as its widest cell. Columns of numbers stand to the right. */
export function tableOf(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)));
  const columns = head.map((title, i) => ({
    width: Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)),
    isNumeric: rows.length > 0 && rows.every((row) => /^[\d,]+(\.\d+)?$/.test(String(row[i]))),
  }));
  const lines = [head, ...cells].map((row) => {
    const padded = columns.map(({ width, isNumeric }, i) => {
      const cell = row[i] ?? '';
      return isNumeric ? cell.padStart(width) : cell.padEnd(width);
    });
    return padded.join('  ').trimEnd();
  });
  return lines.join('\n');
}
