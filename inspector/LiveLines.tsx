import { useRef, useState } from 'react';

/** In a string of a program: addresses may contain an apostrophe. */
const quoted = (url: string): string => `'${url.replaceAll("'", '%27')}'`;

/** The lines that point an app's own inspector here. Apps in a browser open this page; others, and who wants no window, connect to the endpoint. */
function snippets(endpoint: string | null, page: string | null): { title: string; lines: string }[] {
  return [
    ...(endpoint === null
      ? []
      : [
          {
            title: 'XState 5, any app',
            lines: `import { createWebSocketInspector } from '@statelyai/inspect';\nconst { inspect } = createWebSocketInspector({ url: ${quoted(endpoint)} }); // createActor(machine, { inspect })`,
          },
        ]),
    ...(page === null
      ? []
      : [
          {
            title: 'XState 5, in a browser',
            lines: `import { createBrowserInspector } from '@statelyai/inspect';\nconst { inspect } = createBrowserInspector({ url: ${quoted(page)} }); // createActor(machine, { inspect })`,
          },
          {
            title: 'XState 4, in a browser',
            lines: `import { inspect } from '@xstate/inspect';\ninspect({ url: ${quoted(page)}, iframe: false }); // interpret(machine, { devTools: true })`,
          },
        ]),
  ];
}

/** What to add to an app so that it shows here. */
export function Lines({ endpoint }: { endpoint: string | null }) {
  const isFile = location.protocol === 'file:';
  const page = isFile ? null : location.href.split('#')[0];
  return (
    <>
      {isFile && endpoint === null && (
        <p>
          This page was opened as a file, and browsers do not let apps open files. Start it with <code>shootdown inspect</code>, or have it served, and the
          lines to add to an app will stand here.
        </p>
      )}
      {snippets(endpoint, page ?? null).map(({ title, lines }) => (
        <Snippet key={title} title={title} lines={lines} />
      ))}
    </>
  );
}

function Snippet({ title, lines }: { title: string; lines: string }) {
  const code = useRef<HTMLPreElement>(null);
  const [said, setSaid] = useState('');
  const select = (): void => {
    if (code.current) getSelection()?.selectAllChildren(code.current);
    setSaid('Selected: copy it with the keys of your system');
  };
  const copy = (): void => {
    // Not every browser lets every page write to the clipboard.
    const written: Promise<void> = navigator.clipboard?.writeText(lines) ?? Promise.reject();
    written.then(() => setSaid('Copied'), select);
  };
  return (
    <div className="live-snippet">
      <h3>{title}</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it may have to be scrolled */}
      <pre ref={code} tabIndex={0}>
        {lines}
      </pre>
      <button type="button" onClick={copy} aria-label={`Copy the lines for ${title}`}>
        Copy
      </button>{' '}
      <span role="status" className="muted">
        {said}
      </span>
    </div>
  );
}
