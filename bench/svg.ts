/** What all pictures of the bench have in common: a page with a title and a footer, for light and dark. */

export interface Page {
  readonly title: string;
  readonly footer: string;
  readonly width: number;
  readonly height: number;
  /** Besides the common ones, as they are in the light and what differs in the dark. */
  readonly styles: string;
  readonly darkStyles: string;
  readonly body: readonly string[];
}

export const LEFT = 16;

export function page({ title, footer, width, height, styles, darkStyles, body }: Page): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    '<style>',
    'text{font:13px system-ui,sans-serif;fill:#24292f}.head{font-weight:600;font-size:15px}.foot{font-size:11px;fill:#6e7781}',
    `.page{fill:#ffffff}${styles}`,
    '@media(prefers-color-scheme:dark){',
    `text{fill:#e6edf3}.foot{fill:#8b949e}.page{fill:#0d1117}${darkStyles}`,
    '}',
    '</style>',
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<text class="head" x="${LEFT}" y="26">${escaped(title)}</text>`,
    ...body,
    `<text class="foot" x="${LEFT}" y="${height - 10}">${escaped(footer)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
