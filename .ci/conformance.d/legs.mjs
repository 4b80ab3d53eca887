// What is run: a version of the suite at a revision of the protocol, with a generation of the Python SDK as the peer. The
// SDK's own tests do the same, so directly nearly everything passes. Without a revision the suite chooses one for each
// scenario, and has those of extensions too.

export const SERVER_LEGS = [
  { name: 'suite 0.1, SDK 1', version: '0.1', generation: 1 },
  { name: 'suite 0.2 at 2025-11-25, SDK 2', version: '0.2', revision: '2025-11-25', generation: 2 },
  { name: 'suite 0.2 at 2026-07-28, SDK 2', version: '0.2', revision: '2026-07-28', generation: 2 },
  { name: 'suite 0.2 at its own choice, SDK 2', version: '0.2', generation: 2 },
];

/** `takes` says which of the suite's scenarios a leg runs. */
export const CLIENT_LEGS = [
  { name: 'suite 0.1, SDK 1', version: '0.1', generation: 1, takes: () => true },
  at('2025-11-25'),
  at('2026-07-28'),
  {
    name: 'suite 0.2 at its own choice, SDK 2',
    version: '0.2',
    generation: 2,
    takes: ({ name, revisions }) => !revisions.includes('2025-11-25') && !revisions.includes('2026-07-28') && !withoutClient(name),
  },
];

function at(revision) {
  return { name: `suite 0.2 at ${revision}, SDK 2`, version: '0.2', revision, generation: 2, takes: ({ revisions }) => revisions.includes(revision) };
}

/** Scenarios of an extension that the SDK's client has no part for: it says so and ends, whatever is between. */
const withoutClient = name => name.startsWith('sep-2640-');
