// Addresses of views: `#/<view>[/<more>…]?<key>=<value>`. Users can share every address, and the
// browser's back and forward buttons work.
//
//   #/                                     open something
//   #/cache?cache=URL&name=TEXT            the items of a cache
//   #/item/<hash>[/<tab>]?cache=URL        an item's narinfo; tab: files, sources, references, compare
//   #/item/<hash>/files?cache=URL&path=P   a file of the item
//   #/item/<hash>/compare?cache=URL&with=<hash>&in=URL   a comparison; `in` is another cache
//   #/item/<hash>?narinfo=TEXT             a pasted narinfo
//   #/ipfs/<cid>[?cache=URL]               a NAR by its CID, from the user's gateways and this cache
//   #/file/<count>                         a dropped file; it works only until the page reloads
//   #/health?cache=URL  #/keys  #/gateways

export interface Route {
  parts: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = '', query = ''] = split(hash.replace(/^#\/?/, ''));
  return { parts: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function split(text: string): [string, string] {
  const at = text.indexOf('?');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Builds an address. Parameters without a value are left out. */
export function link(parts: string[], query: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  const text = search.toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

export function go(address: string): void {
  location.hash = address;
}
