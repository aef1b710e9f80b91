/** The body of a tool that a looping agent calls again and again: what it was called with, in order. */
export class SearchBody {
  readonly queries: string[] = [];

  get ran(): number {
    return this.queries.length;
  }

  readonly run = async ({ query }: { readonly query: string }): Promise<{ readonly hits: readonly string[] }> => {
    this.queries.push(query);
    return { hits: [`about ${query}`] };
  };
}
