/** Which words of one list are not in another, in order (longest common subsequence). */

const LARGEST = 1_000_000; // cells of the table; beyond it, everything in the middle counts as different

/**
 * @param {string[]} before
 * @param {string[]} after
 * @returns {Set<number>} places in `after` whose word is not part of what both have in common
 */
export function differing(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  const shorter = Math.min(before.length, after.length) - start;
  while (end < shorter && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  const [one, two] = [before.slice(start, before.length - end), after.slice(start, after.length - end)];
  const places = new Set(two.map((_, index) => start + index));
  if (one.length * two.length > LARGEST) return places;

  const width = two.length + 1;
  const longest = new Uint32Array((one.length + 1) * width); // of the rests from (i, j)
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = two.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        one[i] === two[j]
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  for (let i = 0, j = 0; i < one.length && j < two.length; ) {
    if (one[i] === two[j]) {
      places.delete(start + j);
      i += 1;
      j += 1;
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return places;
}
