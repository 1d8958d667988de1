//! One file as the page cache and the platter see it.

use crate::chance::Chance;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The page cache writes whole blocks.
pub(crate) const BLOCK: usize = 4096;
const BLOCK_U64: u64 = 4096;
/// The disk writes whole sectors.
pub(crate) const SECTOR: usize = 512;

type Block = [u8; BLOCK];

static ZERO: LazyLock<Arc<Block>> = LazyLock::new(|| Arc::new([0; BLOCK]));

/// A block that was written since it was last synced: each of its contents since then, the newest last.
#[derive(Clone)]
struct Loose {
    versions: Vec<Arc<Block>>,
    /// Whether the next sync writes it. After a failed one the system believes that it has.
    dirty: bool,
}

/// What a crash does with writes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// None reached the disk.
    Lost,
    /// All did.
    Kept,
    /// Whole blocks did or did not, in any order, each as it was at any time since the sync.
    Blocks,
    /// The same for single sectors: writes are torn.
    Sectors,
}

impl Fate {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        match chance.below(6) {
            0 => Self::Lost,
            1 => Self::Kept,
            2 | 3 => Self::Blocks,
            _ => Self::Sectors,
        }
    }
}

/// A file: what is safe, and what was written since.
#[derive(Clone, Default)]
pub(crate) struct Sheet {
    stable: Vec<Arc<Block>>,
    loose: BTreeMap<usize, Loose>,
    stable_size: u64,
    /// Each size since the last sync, the present one last.
    sizes: Vec<u64>,
}

fn block_of(offset: u64) -> usize {
    usize::try_from(offset >> BLOCK_U64.trailing_zeros()).unwrap_or(usize::MAX)
}

fn within(offset: u64) -> usize {
    usize::try_from(offset & (BLOCK_U64 - 1)).unwrap_or(0)
}

impl Sheet {
    /// The size as programs see it.
    pub(crate) fn size(&self) -> u64 {
        self.sizes.last().copied().unwrap_or(self.stable_size)
    }

    fn block(&self, number: usize) -> &Arc<Block> {
        let newest = self.loose.get(&number).and_then(|loose| loose.versions.last());
        newest.or_else(|| self.stable.get(number)).unwrap_or(&ZERO)
    }

    fn put(&mut self, number: usize, block: Arc<Block>) {
        let loose = self.loose.entry(number);
        let loose = loose.or_insert_with(|| Loose { versions: Vec::new(), dirty: true });
        loose.versions.push(block);
        loose.dirty = true;
    }

    /// Fills `into` from `offset` on; answers how many bytes there were.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let there = self.size().saturating_sub(offset);
        let count = into.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        let (mut at, mut rest) = (offset, into.get_mut(..count).unwrap_or_default());
        while !rest.is_empty() {
            let from = within(at);
            let part = rest.len().min(BLOCK.saturating_sub(from));
            let (head, tail) = rest.split_at_mut(part);
            let block = self.block(block_of(at));
            let until = from.saturating_add(part);
            head.copy_from_slice(block.get(from..until).unwrap_or_default());
            at = at.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
            rest = tail;
        }
        count
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let from = within(at);
            let part = rest.len().min(BLOCK.saturating_sub(from));
            let (head, tail) = rest.split_at(part);
            let number = block_of(at);
            let mut block = Arc::clone(self.block(number));
            let until = from.saturating_add(part);
            if let Some(slot) = Arc::make_mut(&mut block).get_mut(from..until) {
                slot.copy_from_slice(head);
            }
            self.put(number, block);
            at = at.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
            rest = tail;
        }
        if at > self.size() {
            self.sizes.push(at);
        }
    }

    pub(crate) fn truncate(&mut self, size: u64) {
        let last = block_of(self.size().saturating_add(BLOCK_U64 - 1));
        // What is cut off must read as zeros if the file grows again.
        let first = block_of(size);
        if within(size) > 0 && size < self.size() {
            let mut block = Arc::clone(self.block(first));
            let cut = Arc::make_mut(&mut block).get_mut(within(size)..);
            cut.unwrap_or_default().fill(0);
            self.put(first, block);
        }
        let whole = block_of(size.saturating_add(BLOCK_U64 - 1));
        for number in whole..last {
            self.put(number, Arc::clone(&ZERO));
        }
        self.sizes.push(size);
    }

    /// All that was written is safe.
    pub(crate) fn sync(&mut self) {
        for (number, loose) in core::mem::take(&mut self.loose) {
            if !loose.dirty {
                self.loose.insert(number, loose);
                continue;
            }
            let Some(newest) = loose.versions.into_iter().next_back() else { continue };
            self.set_stable(number, newest);
        }
        self.stable_size = self.size();
        self.sizes.clear();
        self.cut_stable();
    }

    /// The sync failed: what was written may or may not be safe, and the next sync will not try it again.
    pub(crate) fn sync_fails(&mut self) {
        self.loose.values_mut().for_each(|loose| loose.dirty = false);
    }

    fn set_stable(&mut self, number: usize, block: Arc<Block>) {
        while self.stable.len() <= number {
            self.stable.push(Arc::clone(&ZERO));
        }
        if let Some(slot) = self.stable.get_mut(number) {
            *slot = block;
        }
    }

    fn cut_stable(&mut self) {
        let blocks = block_of(self.stable_size.saturating_add(BLOCK_U64 - 1));
        self.stable.truncate(blocks);
        let (last, rest) = (block_of(self.stable_size), within(self.stable_size));
        if let Some(slot) = self.stable.get_mut(last)
            && let Some(tail) = slot.get(rest..)
            && tail.iter().any(|byte| *byte != 0)
        {
            Arc::make_mut(slot).get_mut(rest..).unwrap_or_default().fill(0);
        }
    }

    /// The power is gone: of what was not synced, fate decides.
    pub(crate) fn crash(&mut self, fate: Fate, chance: &mut Chance) {
        let before =
            |sheet: &Self, number: usize| Arc::clone(sheet.stable.get(number).unwrap_or(&ZERO));
        for (number, loose) in core::mem::take(&mut self.loose) {
            let mut versions = vec![before(self, number)];
            versions.extend(loose.versions);
            let block = match fate {
                Fate::Lost => continue,
                Fate::Kept => versions.pop(),
                Fate::Blocks => chance.pick(&versions).cloned(),
                Fate::Sectors => Some(Arc::new(torn(&versions, chance))),
            };
            self.set_stable(number, block.unwrap_or_else(|| before(self, number)));
        }
        let mut sizes = vec![self.stable_size];
        sizes.append(&mut self.sizes);
        let size = match fate {
            Fate::Lost => sizes.first(),
            Fate::Kept => sizes.last(),
            Fate::Blocks | Fate::Sectors => chance.pick(&sizes),
        };
        self.stable_size = size.copied().unwrap_or(0);
        self.cut_stable();
    }

    /// Turns one bit of what is on the disk; only when nothing waits to be synced.
    pub(crate) fn flip(&mut self, bit: u64) {
        let byte = bit >> 3;
        if byte >= self.stable_size {
            return;
        }
        let mask = 1_u8 << (bit & 7);
        if let Some(slot) = self.stable.get_mut(block_of(byte))
            && let Some(byte) = Arc::make_mut(slot).get_mut(within(byte))
        {
            *byte ^= mask;
        }
    }
}

/// Each sector as it was at some time.
fn torn(versions: &[Arc<Block>], chance: &mut Chance) -> Block {
    let mut block = [0; BLOCK];
    for (number, sector) in block.chunks_mut(SECTOR).enumerate() {
        let from = number.saturating_mul(SECTOR);
        let version = chance.pick(versions).and_then(|v| v.get(from..from.saturating_add(SECTOR)));
        sector.copy_from_slice(version.unwrap_or(&[0; SECTOR]));
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(sheet: &Sheet) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(sheet.size()).unwrap()];
        assert_eq!(sheet.read(0, &mut bytes), bytes.len());
        bytes
    }

    /// Beside a plain vector, which is what a file is to programs.
    #[test]
    fn to_programs_it_is_a_file() {
        let chance = &mut Chance::new(1);
        let (mut sheet, mut plain) = (Sheet::default(), Vec::new());
        for _ in 0..2_000 {
            let offset = chance.index(20_000);
            match chance.below(8) {
                0 => {
                    sheet.truncate(offset as u64);
                    plain.resize(offset, 0);
                }
                1 => sheet.sync(),
                _ => {
                    let bytes = vec![chance.below(256) as u8; chance.index(9_000) + 1];
                    sheet.write(offset as u64, &bytes);
                    plain.resize(plain.len().max(offset + bytes.len()), 0);
                    plain[offset..offset + bytes.len()].copy_from_slice(&bytes);
                }
            }
            assert!(all(&sheet) == plain);
        }
        sheet.sync();
        sheet.crash(Fate::Sectors, chance);
        assert!(all(&sheet) == plain, "what is synced survives");
    }

    #[test]
    fn what_is_not_synced_is_kept_lost_or_torn() {
        let chance = &mut Chance::new(2);
        let mut base = Sheet::default();
        base.write(0, &[1; 3 * BLOCK]);
        base.sync();
        base.write(SECTOR as u64, &[2; 2 * BLOCK]);
        for fate in [Fate::Lost, Fate::Kept, Fate::Blocks, Fate::Sectors] {
            let mut torn = 0;
            for _ in 0..100 {
                let mut sheet = base.clone();
                sheet.crash(fate, chance);
                let bytes = all(&sheet);
                assert!(bytes.chunks(SECTOR).all(|s| s.iter().all(|b| *b == s[0])));
                let new = bytes.iter().filter(|byte| **byte == 2).count();
                match fate {
                    Fate::Lost => assert_eq!(new, 0),
                    Fate::Kept => assert_eq!(new, 2 * BLOCK),
                    Fate::Blocks => assert!(new.is_multiple_of(SECTOR)),
                    Fate::Sectors => torn += usize::from(!new.is_multiple_of(BLOCK)),
                }
            }
            assert!(fate != Fate::Sectors || torn > 50);
        }
    }

    #[test]
    fn a_failed_sync_is_not_repeated_by_the_next() {
        let chance = &mut Chance::new(3);
        let mut sheet = Sheet::default();
        sheet.write(0, &[1; 10]);
        sheet.sync();
        sheet.write(0, &[2; 10]);
        sheet.sync_fails();
        sheet.sync();
        assert_eq!(all(&sheet), [2; 10], "programs still see it");
        let mut lost = sheet.clone();
        lost.crash(Fate::Lost, chance);
        assert_eq!(all(&lost), [1; 10]);
        sheet.write(0, &[3; 10]);
        sheet.sync();
        sheet.crash(Fate::Lost, chance);
        assert_eq!(all(&sheet), [3; 10], "written again, it is safe");
    }

    #[test]
    fn one_bit_turns() {
        let mut sheet = Sheet::default();
        sheet.write(0, &[0; 10]);
        sheet.sync();
        sheet.flip(12);
        sheet.flip(80);
        assert_eq!(all(&sheet), [0, 16, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
