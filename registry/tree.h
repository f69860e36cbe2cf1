/* tree.h - removes a directory with all that is in it.
 */
#ifndef XO_REGISTRY_TREE_H
#define XO_REGISTRY_TREE_H

/* Follows no symbolic link. What cannot be removed stays, in silence. */
void xo_remove_tree(const char *path);

#endif
