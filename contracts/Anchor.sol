// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Announces heads of one log, so that a receipt can prove that an entry was there when a block was made.
///
/// Nothing is stored: an event is proved by the block's receipts trie, and costs half of a stored slot. That sizes grow is
/// the log's own promise, which its checkpoints and witnesses keep; a chain that repeats it would prove nothing more.
contract Anchor {
    /// The log had `size` entries and this root.
    event Anchored(bytes32 indexed root, uint64 size);

    /// Only the account that made the contract speaks for the log.
    error NotOwner();

    address public immutable owner = msg.sender;

    function anchor(bytes32 root, uint64 size) external {
        if (msg.sender != owner) revert NotOwner();
        emit Anchored(root, size);
    }
}
