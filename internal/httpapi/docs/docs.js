// Shows the OpenAPI document of this server. Text goes in as text, never as
// markup.

const doc = await (await fetch('/openapi.json')).json();
const main = document.getElementById('main');
const menu = document.getElementById('menu');
const methods = ['get', 'post', 'put', 'delete'];

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

// words makes `these` code.
function words(text) {
  return (text ?? '').split('`').map((part, i) => (i % 2 ? el('code', null, part) : part));
}

function resolve(schema) {
  while (schema?.$ref) schema = doc.components.schemas[schema.$ref.split('/').pop()];
  return schema ?? {};
}

function typeName(schema) {
  if (schema.oneOf) return schema.oneOf.map((one) => typeName(resolve(one))).join(' or ');
  if (schema.type === 'array' || (Array.isArray(schema.type) && schema.type.includes('array'))) {
    return `list of ${typeName(resolve(schema.items))}`;
  }
  const type = [schema.type ?? 'any'].flat().join(' or ');
  return schema.format && schema.format !== 'int64' && schema.format !== 'double' ? `${type} (${schema.format})` : type;
}

function remarks(schema) {
  const parts = [];
  if (schema.enum) parts.push(`one of ${schema.enum.join(', ')}`);
  if (schema.minimum !== undefined) parts.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) parts.push(`to ${schema.maximum}`);
  if (schema.maxLength !== undefined) parts.push(`at most ${schema.maxLength} characters`);
  if (schema.default !== undefined) parts.push(`default ${schema.default}`);
  return parts.join(', ');
}

function row(name, schema, required, depth) {
  return el('tr', null,
    el('td', null, el('span', depth ? { class: 'deep' } : null, name), required ? el('span', { class: 'must' }, 'required') : ''),
    el('td', null, el('span', { class: 'type' }, [typeName(schema), remarks(schema)].filter(Boolean).join('; ')), schema.description ? el('div', null, schema.description) : ''));
}

function fields(schema, depth = 0) {
  schema = resolve(schema);
  if (schema.type === 'array') return fields(schema.items, depth);
  if (schema.oneOf) return schema.oneOf.flatMap((one) => fields(one, depth));
  const required = schema.required ?? [];
  const properties = Object.entries(schema.properties ?? {}).sort(([a], [b]) => required.includes(b) - required.includes(a));
  return properties.flatMap(([name, property]) => {
    const inner = { ...resolve(property), ...(property.description ? { description: property.description } : {}) };
    const rows = [row(name, inner, required.includes(name), depth)];
    return depth < 1 ? rows.concat(fields(inner, depth + 1)) : rows;
  });
}

function table(rows) { return el('table', null, el('tbody', null, ...rows)); }

function example(path, method, operation) {
  const body = operation.requestBody ? ` \\\n  -H 'Content-Type: application/json' -d '{…}'` : '';
  const verb = method === 'get' ? '' : `-X ${method.toUpperCase()} `;
  const key = operation.security ? ` \\\n  -H "Authorization: Bearer $KEY"` : '';
  return el('pre', null, `curl ${verb}${location.origin}${path}${key}${body}`);
}

function section(path, method, operation) {
  const node = el('section', { id: operation.operationId },
    el('h3', null, operation.summary ?? operation.operationId),
    el('p', { class: 'path' }, el('span', { class: `method ${method}` }, method.toUpperCase()), path),
    operation.description ? el('p', null, ...words(operation.description)) : '',
    example(path, method, operation));
  const parameters = (operation.parameters ?? []).map((p) => row(`${p.name}${p.in === 'header' ? ' (header)' : ''}`, { description: p.description, ...resolve(p.schema) }, p.required, 0));
  if (parameters.length) node.append(el('h4', null, 'Parameters'), table(parameters));
  const request = operation.requestBody?.content?.['application/json']?.schema;
  if (request) node.append(el('h4', null, 'Body'), table(fields(request)));
  node.append(el('h4', null, 'Answers'));
  for (const [status, answer] of Object.entries(operation.responses ?? {})) {
    const schema = answer.content?.['application/json']?.schema;
    const rows = schema ? fields(schema) : [];
    const title = `${status} ${answer.description ?? ''}`;
    node.append(rows.length
      ? el('details', null, el('summary', null, title), table(rows))
      : el('details', { inert: '' }, el('summary', null, title)));
  }
  return node;
}

document.getElementById('version').textContent = `version ${doc.info.version} · OpenAPI ${doc.openapi}`;
const intro = el('p', null, ...words(doc.info.description), ' The document: ', el('a', { href: '/openapi.json' }, 'JSON'), ', ', el('a', { href: '/openapi.yaml' }, 'YAML'), '.');
main.replaceChildren(intro);
for (const tag of doc.tags) {
  const links = [];
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const method of methods) {
      const operation = item[method];
      if (!operation?.tags?.includes(tag.name)) continue;
      main.append(section(path, method, operation));
      links.push(el('a', { href: `#${operation.operationId}`, 'data-text': `${method} ${path} ${operation.summary}`.toLowerCase() },
        el('span', { class: `method ${method}` }, method.toUpperCase()), operation.summary ?? path));
    }
  }
  if (links.length) menu.append(el('div', null, el('h2', { title: tag.description ?? '' }, tag.name), ...links));
}
document.getElementById('filter').addEventListener('input', (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const link of menu.querySelectorAll('a')) link.hidden = !words.every((word) => link.dataset.text.includes(word));
});
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
