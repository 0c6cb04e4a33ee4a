//! Writes the blocks of the headers anew.

use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("lkl-headers: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    for path in lkl_headers::headers().map_err(|e| e.to_string())? {
        let shown = path.display();
        let old = fs::read_to_string(&path).map_err(|e| format!("{shown}: {e}"))?;
        let new = lkl_headers::renew(&old).map_err(|e| format!("{shown}: {e}"))?;
        if new != old {
            fs::write(&path, new).map_err(|e| format!("{shown}: {e}"))?;
            println!("{shown}");
        }
    }
    Ok(())
}
