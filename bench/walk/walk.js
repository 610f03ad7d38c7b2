// As walk.c.
const fs = require('fs');
let names = 0, bytes = 0;

function walk(path) {
	names++;
	if (fs.lstatSync(path).isDirectory())
		fs.readdirSync(path).forEach(name => walk(`${path}/${name}`));
	else
		bytes += fs.readFileSync(path).length;
}

for (let i = Number(process.argv[3]); i > 0; i--)
	walk(process.argv[2]);
console.log(`${names} names, ${bytes} bytes`);
