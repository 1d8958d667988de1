// Compiles Anchor.sol and prints the artefact. `cargo xtask contract` runs it; the same compiler gives the same bytes.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const source = fs.readFileSync(path.join(process.argv[2], "Anchor.sol"), "utf8");
const settings = {
  // Older than any chain in use, so that no instruction is missing on one.
  evmVersion: "paris",
  optimizer: { enabled: true, runs: 1000000 },
  // Without the hash of the metadata a comment can change and the code stays.
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "Anchor.sol": { Anchor: ["abi", "evm.bytecode.object"] } },
};
const input = { language: "Solidity", sources: { "Anchor.sol": { content: source } }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const errors = output.errors || [];
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const { abi, evm } = output.contracts["Anchor.sol"].Anchor;
const compiler = solc.version();
const bytecode = "0x" + evm.bytecode.object;
console.log(JSON.stringify({ contract: "Anchor", compiler, settings: { evmVersion: settings.evmVersion, optimizer: settings.optimizer, metadata: settings.metadata }, abi, bytecode }, null, 2));
