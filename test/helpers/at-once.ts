/** What `work` makes of each item, a few of them at a time, in the order of the items. */
export async function mapAtOnce<Item, Result>(
  atOnce: number,
  items: readonly Item[],
  work: (item: Item, at: number) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  let begun = 0;
  const go = async (): Promise<void> => {
    for (let at = begun++; at < items.length; at = begun++) results[at] = await work(items[at] as Item, at);
  };
  await Promise.all(Array.from({ length: atOnce }, go));
  return results;
}
