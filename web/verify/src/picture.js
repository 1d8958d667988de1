// The Merkle path as a picture: the entry at the bottom, the root at the top, each sibling on its own side.

const STEP_HEIGHT = 74;
const BOX_WIDTH = 96;
const BOX_HEIGHT = 30;
const MIDDLE = 180;
const ASIDE = { left: 60, right: 300 };

function box(x, y, hash, kind, name, nameY) {
  return drawn('g', { class: kind },
    drawn('title', {}, hash),
    drawn('rect', { x: x - BOX_WIDTH / 2, y: y - BOX_HEIGHT / 2, width: BOX_WIDTH, height: BOX_HEIGHT, rx: 5 }),
    drawn('text', { x, y: y + 4.5 }, `${hash.slice(0, 8)}…`),
    name ? drawn('text', { class: 'name', x, y: nameY }, name) : null);
}

function edge(x, from, to, kind) {
  return drawn('line', { class: kind, x1: x, y1: from - BOX_HEIGHT / 2, x2: MIDDLE, y2: to + BOX_HEIGHT / 2 });
}

/** The picture; `kind` of the topmost box says whether it is the checkpoint's root. */
function pathPicture(path) {
  const height = (path.steps.length + 1) * STEP_HEIGHT;
  const yOf = (step) => height - STEP_HEIGHT / 2 - step * STEP_HEIGHT;
  const shapes = [];
  path.steps.forEach((step, at) => {
    const [below, above] = [yOf(at), yOf(at + 1)];
    shapes.push(edge(MIDDLE, below, above, 'own'), edge(ASIDE[step.side], below, above, ''));
    shapes.push(box(ASIDE[step.side], below, step.sibling, 'sibling', '', 0));
  });
  const nodes = [path.leaf, ...path.steps.map((step) => step.node)];
  nodes.forEach((hash, at) => {
    const isTop = at === nodes.length - 1;
    const top = path.leads ? 'holds' : 'astray';
    const rootName = say(path.leads ? 'page-path-root' : 'page-path-reached');
    const entryName = say('page-path-entry', { index: path.index });
    // A tree of one entry is its own root. The names stand where no line comes by: above the root, below the entry.
    const names = [at === 0 ? entryName : '', isTop ? rootName : ''].filter((name) => name !== '');
    const nameY = isTop ? yOf(at) - BOX_HEIGHT / 2 - 6 : yOf(at) + BOX_HEIGHT / 2 + 14;
    shapes.push(box(MIDDLE, yOf(at), hash, isTop ? top : 'own', names.join(' = '), nameY));
  });
  const label = say('page-path-picture', { index: path.index, steps: String(path.steps.length) });
  return drawn('svg', { class: 'path', viewBox: `0 0 360 ${height}`, role: 'img', 'aria-label': label }, ...shapes);
}

/** Every hash in full, for those who compute it themselves or do not see the picture. */
function pathList(path) {
  const hash = (text) => element('code', {}, text);
  const rows = path.steps.map((step, at) => ['', [
    String(at + 1), say(`page-${step.side}`), hash(step.sibling), hash(step.node),
  ]]);
  const columns = ['page-path-step', 'page-path-side', 'page-path-sibling', 'page-path-node'];
  const ends = pairs([
    [say('page-path-entry', { index: path.index }), hash(path.leaf)],
    [say('page-path-root'), hash(path.root)],
  ]);
  return element('details', {}, element('summary', {}, say('page-path-list')), ends, rows.length ? table(columns, rows) : null);
}
