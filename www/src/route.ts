// Addresses of views: `#/<view>[/<more>…]?<key>=<value>`. Each can be sent to someone else, and back and forward work by themselves.
//
//   #/                                     open something
//   #/cache?cache=URL&name=TEXT            what a cache has
//   #/item/<hash>[/<tab>]?cache=URL        an item: narinfo; tab: files, sources, references, compare
//   #/item/<hash>/files?cache=URL&path=P   a file of it
//   #/item/<hash>/compare?cache=URL&with=<hash>&in=URL   beside another item, of this cache or of that one
//   #/item/<hash>?narinfo=TEXT             of a pasted narinfo
//   #/ipfs/<cid>[?cache=URL]               a NAR by its CID; that server is asked as well as the user’s gateways
//   #/file/<count>                         a dropped file, which no address can name
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

/** An address; parameters without a value are left out. */
export function link(parts: string[], query: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  const text = search.toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

export function go(address: string): void {
  location.hash = address;
}
